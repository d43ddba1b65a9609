"""Any revision over REST: seen as it was, and brought back as a new one."""

from typing import Any

import pytest
from httpx import Response
from sqlalchemy import select
from starlette.testclient import TestClient

from backend.people.audit.tables import AuditEntry
from backend.people.users.tables import Role
from tests.conftest import Service
from tests.support.ready import (
    code,
    patches_of,
    pixels,
    predicted_slide,
    put,
    ready_slide,
    some_mask,
)


def a_patch(service: Service, revisions: int = 0) -> str:
    """A patch whose revision N holds `some_mask(N)`."""
    slide_id = ready_slide(service)
    patch_id = str(patches_of(service.client, slide_id, order="position")[0]["id"])
    for number in range(revisions):
        mask = some_mask(number + 1)
        put(service.client, patch_id, mask, if_match=f'"r{number}"').raise_for_status()
    return patch_id


def restore(
    client: TestClient, patch_id: str, revision: Any, if_match: str | None, **query: Any
) -> Response:
    headers = {} if if_match is None else {"If-Match": if_match}
    return client.post(
        f"/patches/{patch_id}/annotations/{revision}/restore", params=query, headers=headers
    )


def test_every_revision_is_seen_as_it_was_and_kept_by_the_browser(service: Service) -> None:
    patch_id = a_patch(service, 3)
    viewer = service.client_of(Role.VIEWER)
    for number in (1, 2, 3):
        answer = viewer.get(f"/patches/{patch_id}/annotations/{number}.png")
        assert (pixels(answer) == some_mask(number)).all()
        assert "immutable" in answer.headers["Cache-Control"]
        assert "private" in answer.headers["Cache-Control"]
        known = {"If-None-Match": answer.headers["ETag"]}
        again = viewer.get(f"/patches/{patch_id}/annotations/{number}.png", headers=known)
        assert again.status_code == 304
        assert not again.content


@pytest.mark.parametrize("revision", [0, -1, 4, 10**30])
def test_a_revision_that_is_not_there(service: Service, revision: int) -> None:
    patch_id = a_patch(service, 3)
    missing = service.client.get(f"/patches/{patch_id}/annotations/{revision}.png")
    assert code(missing) == (404, "revision_not_found")
    assert "1 to 3" in missing.json()["detail"]
    answer = restore(service.client, patch_id, revision, '"r3"')
    assert code(answer) == (404, "revision_not_found")
    assert service.client.get(f"/patches/{patch_id}").json()["revision"] == 3


def test_a_patch_without_revisions_and_no_patch_at_all(service: Service) -> None:
    patch_id = a_patch(service)
    for answer in (
        service.client.get(f"/patches/{patch_id}/annotations/1.png"),
        restore(service.client, patch_id, 1, '"r0"'),
    ):
        assert code(answer) == (404, "revision_not_found")
    assert code(service.client.get("/patches/none/annotations/1.png")) == (404, "patch_not_found")
    assert code(restore(service.client, "none", 1, '"r0"')) == (404, "patch_not_found")
    assert service.client.get(f"/patches/{patch_id}/annotations/first.png").status_code == 422


def test_restoring_writes_a_new_revision_that_says_what_it_restores(service: Service) -> None:
    patch_id = a_patch(service, 3)
    other = service.client_of(Role.PATHOLOGIST)
    answer = restore(other, patch_id, 1, '"r3"', seconds_spent=4.5)
    assert answer.status_code == 201
    assert answer.headers["ETag"] == '"r4"'
    body = answer.json()
    assert (body["annotation"]["revision"], body["annotation"]["restores"]) == (4, 1)
    assert body["annotation"]["seconds_spent"] == 4.5
    assert (body["patch"]["revision"], body["patch"]["state"]) == (4, "annotated")
    assert (pixels(service.client.get(f"/patches/{patch_id}/annotation.png")) == some_mask(1)).all()
    listed = service.client.get(f"/patches/{patch_id}/annotations").json()["items"]
    assert [each["restores"] for each in listed] == [1, None, None, None]
    assert listed[0]["author"] != listed[3]["author"]
    assert listed[0]["mask_sha256"] == listed[3]["mask_sha256"]
    for number in (1, 2, 3):  # and none of them is touched
        shown = service.client.get(f"/patches/{patch_id}/annotations/{number}.png")
        assert (pixels(shown) == some_mask(number)).all()
    with service.database.reading() as session:
        entry = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.subject_id == patch_id, AuditEntry.action == "annotation.saved")
            .order_by(AuditEntry.id.desc())
        ).first()
    assert entry is not None
    assert entry.details["restores"] == 1


def test_a_restored_revision_can_be_restored_and_the_newest_too(service: Service) -> None:
    patch_id = a_patch(service, 2)
    restore(service.client, patch_id, 1, '"r2"').raise_for_status()
    again = restore(service.client, patch_id, 3, '"r3"').json()["annotation"]
    assert (again["revision"], again["restores"]) == (4, 3)
    assert (pixels(service.client.get(f"/patches/{patch_id}/annotation.png")) == some_mask(1)).all()


def test_restoring_asks_for_the_revision_that_was_seen_like_a_save(service: Service) -> None:
    patch_id = a_patch(service, 2)
    for if_match in (None, "*"):
        answer = restore(service.client, patch_id, 1, if_match)
        assert code(answer) == (428, "precondition_required")
    stale = restore(service.client_of(Role.PATHOLOGIST), patch_id, 1, '"r1"')
    assert code(stale) == (412, "stale")
    assert stale.headers["ETag"] == '"r2"'
    assert stale.json()["current"]["revision"] == 2
    assert service.client.get(f"/patches/{patch_id}").json()["revision"] == 2


def test_a_repeated_restore_writes_nothing_twice(service: Service) -> None:
    patch_id = a_patch(service, 2)
    first = restore(service.client, patch_id, 1, '"r2"')
    again = restore(service.client, patch_id, 1, '"r2"')
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    # the same pixels saved are no restoring
    assert code(put(service.client, patch_id, some_mask(1), if_match='"r2"')) == (412, "stale")


def test_who_only_looks_restores_nothing(service: Service) -> None:
    patch_id = a_patch(service, 2)
    answer = restore(service.client_of(Role.VIEWER), patch_id, 1, '"r2"')
    assert code(answer) == (403, "not_allowed")


def test_approved_stays_and_returned_is_restored_by_the_rules_of_a_save(service: Service) -> None:
    patch_id = a_patch(service, 2)
    reviewer = service.client_of(Role.PATHOLOGIST)
    verdict = {"verdict": "returned", "comment": "the first was better"}
    reviewer.post(f"/patches/{patch_id}/review", json=verdict).raise_for_status()
    answer = restore(service.client, patch_id, 1, '"r2"')
    assert answer.status_code == 201
    assert answer.json()["patch"]["state"] == "annotated"
    verdict = {"verdict": "approved", "comment": ""}
    reviewer.post(f"/patches/{patch_id}/review", json=verdict).raise_for_status()
    by_restore = restore(service.client, patch_id, 2, '"r3"')
    by_save = put(service.client, patch_id, some_mask(9), if_match='"r3"')
    assert code(by_restore) == code(by_save) == (409, "patch_state")
    assert by_restore.json()["detail"] == by_save.json()["detail"]


def test_a_restored_proposal_is_still_a_proposal_of_the_same_model(service: Service) -> None:
    """Restoring draws nothing, so it can't make a person's mask out of a model's."""
    slide_id = predicted_slide(service)
    patch_id = patches_of(service.client, slide_id)[0]["id"]
    proposal = pixels(service.client.get(f"/patches/{patch_id}/proposal.png"))
    accepted = put(service.client, patch_id, proposal, source="proposal").json()["annotation"]
    put(service.client, patch_id, some_mask(), if_match='"r1"').raise_for_status()
    restored = restore(service.client, patch_id, 1, '"r2"').json()["annotation"]
    edited = restore(service.client, patch_id, 2, '"r3"').json()["annotation"]
    assert restored["source"] == accepted["source"] == "proposal"
    assert restored["model_version_id"] == accepted["model_version_id"]
    assert edited["source"] == "edited"


@pytest.mark.parametrize(
    "seconds", ["-1", "-0.001", "nan", "inf", "-inf", "1e400", "86401", "4000"]
)
def test_seconds_that_nobody_can_have_spent_are_refused_in_words(
    service: Service, seconds: str
) -> None:
    """4,000 s are less than a day, but longer than this slide has been here."""
    patch_id = a_patch(service, 2)
    for answer in (
        put(service.client, patch_id, some_mask(5), if_match='"r2"', seconds_spent=seconds),
        restore(service.client, patch_id, 1, '"r2"', seconds_spent=seconds),
    ):
        assert code(answer) == (422, "invalid")
        assert "seconds_spent" in answer.json()["detail"]
        assert "query." not in answer.json()["detail"]
    assert service.client.get(f"/patches/{patch_id}").json()["revision"] == 2
    said = put(service.client, patch_id, some_mask(5), if_match='"r2"', seconds_spent="0.25")
    assert said.json()["annotation"]["seconds_spent"] == 0.25
    unsaid = restore(service.client, patch_id, 1, '"r3"')
    assert unsaid.json()["annotation"]["seconds_spent"] is None
