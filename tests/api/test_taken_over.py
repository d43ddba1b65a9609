"""A patch that one person has in hand and another saves: both are told, whatever way it goes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from backend.kit.db.base import now
from backend.kit.events import service as events
from backend.people.audit.tables import AuditEntry
from backend.people.users.tables import Role
from backend.slides.patches.tables import Patch
from tests.conftest import Service
from tests.support.ready import code, patches_of, png, predicted_slide, put, some_mask


def taken(client: TestClient, slide_id: str) -> dict[str, Any]:
    answer = client.get("/queue/next", params={"slide_id": slide_id})
    assert answer.status_code == 200, answer.text
    patch: dict[str, Any] = answer.json()["patch"]
    return patch


def told(service: Service, patch_id: str) -> list[dict[str, Any]]:
    """What the stream of events says of a patch's annotations, oldest first."""
    with service.database.reading() as session:
        found = events.since(session, 0, limit=10_000)
    return [
        each.data for each in found if (each.topic, each.subject_id) == ("annotation", patch_id)
    ]


def by_put(client: TestClient, patch: dict[str, Any]) -> dict[str, Any]:
    answer = put(client, patch["id"], some_mask(2), if_match=f'"r{patch["revision"]}"')
    return answer.raise_for_status().json()["taken_from"]


def by_accepting(client: TestClient, patch: dict[str, Any]) -> dict[str, Any]:
    proposal = client.get(f"/patches/{patch['id']}/proposal.png").content
    etag = f'"r{patch["revision"]}"'
    answer = put(client, patch["id"], proposal, if_match=etag, source="proposal")
    return answer.raise_for_status().json()["taken_from"]


def by_import(client: TestClient, patch: dict[str, Any]) -> dict[str, Any]:
    x, y, size = patch["x"], patch["y"], patch["size"]
    low, high = 0.2 * size, 0.6 * size
    ring = [[x + a, y + b] for a, b in ((low, low), (high, low), (high, high), (low, low))]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": "Membrane"}},
    }
    path = f"/slides/{patch['slide_id']}/annotations.geojson"
    etag = client.get(path).headers["ETag"]
    answer = client.post(
        path,
        content=json.dumps({"type": "FeatureCollection", "features": [feature]}),
        headers={"Content-Type": "application/geo+json", "If-Match": etag},
    )
    [item] = answer.raise_for_status().json()["items"]
    assert (item["patch_id"], item["outcome"]) == (patch["id"], "written")
    return item["taken_from"]


def by_restoring(client: TestClient, patch: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(
        f"/patches/{patch['id']}/annotations/1/restore",
        headers={"If-Match": f'"r{patch["revision"]}"'},
    )
    return answer.raise_for_status().json()["taken_from"]


WAYS = [by_put, by_accepting, by_import, by_restoring]


@pytest.mark.parametrize("way", WAYS)
def test_whoever_has_a_patch_in_hand_and_whoever_saves_it_are_told(
    service: Service, way: Callable[[TestClient, dict[str, Any]], dict[str, Any]]
) -> None:
    slide_id = predicted_slide(service)
    holder, other = (service.client_of(Role.PATHOLOGIST) for _ in range(2))
    patch = taken(holder, slide_id)
    revision = 0
    if way is by_restoring:  # a returned patch, leased to be corrected, has an earlier revision
        put(holder, patch["id"], some_mask(1)).raise_for_status()
        verdict = {"verdict": "returned", "comment": "again, please"}
        service.client.post(f"/patches/{patch['id']}/review", json=verdict).raise_for_status()
        for left in patches_of(service.client, slide_id):
            if left["id"] != patch["id"]:
                service.client.post(f"/patches/{left['id']}/skip").raise_for_status()
        patch = taken(holder, slide_id)
        revision = patch["revision"]
    seen = other.get(f"/patches/{patch['id']}").json()
    lease = seen["lease"]
    assert not lease["mine"], "who opens the patch is told before"
    taken_from = way(other, seen)
    assert taken_from == {"id": lease["user_id"], "username": lease["username"]}
    said = told(service, patch["id"])[-1]
    newest = service.client.get(f"/patches/{patch['id']}/annotations").json()["items"][0]
    assert said == {
        "slide_id": slide_id,
        "revision": revision + 1,
        "author": newest["author"],
        "source": newest["source"],
        "restores": newest["restores"],
        "taken_from": taken_from,
    }
    assert newest["author"]["id"] != taken_from["id"]
    # the holder's strokes are not lost: they hear of the other's mask and may save on top
    stale = put(holder, patch["id"], some_mask(7), if_match=f'"r{revision}"')
    assert code(stale) == (412, "stale")
    on_top = put(holder, patch["id"], some_mask(7), if_match=stale.headers["ETag"])
    assert on_top.json()["taken_from"] is None
    with service.database.reading() as session:
        entries = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.subject_id == patch["id"], AuditEntry.action == "annotation.saved")
            .order_by(AuditEntry.id)
        ).all()
    assert [entry.details.get("taken_from") for entry in entries[-2:]] == [taken_from["id"], None]


def test_ones_own_patch_and_a_lease_that_ran_out_are_taken_from_nobody(service: Service) -> None:
    slide_id = predicted_slide(service)
    holder = service.client_of(Role.PATHOLOGIST)
    mine = taken(holder, slide_id)
    assert by_put(holder, mine) is None
    forgotten = taken(holder, slide_id)
    with service.database.writing() as session:
        session.execute(update(Patch).where(Patch.id == forgotten["id"]).values(lease_until=now()))
    assert by_put(service.client, forgotten) is None
    # whoever has it open learns of it all the same: the event is for everybody
    for patch in (mine, forgotten):
        [said] = told(service, patch["id"])
        assert (said["revision"], said["taken_from"]) == (1, None)


def test_a_save_that_was_not_taken_tells_nobody(service: Service) -> None:
    slide_id = predicted_slide(service)
    holder = service.client_of(Role.PATHOLOGIST)
    patch = taken(holder, slide_id)
    assert put(service.client, patch["id"], some_mask(), if_match='"r3"').status_code == 412
    assert put(service.client, patch["id"], some_mask(), seconds_spent=-1).status_code == 422
    assert told(service, patch["id"]) == []
    assert holder.get(f"/patches/{patch['id']}").json()["lease"]["mine"]
    first = put(holder, patch["id"], png(some_mask()))
    again = put(holder, patch["id"], png(some_mask()))
    assert (first.status_code, again.status_code) == (201, 200)
    assert len(told(service, patch["id"])) == 1
