"""Annotations over REST: immutable revisions, nobody's work lost, nothing hostile taken."""

import io
import threading
from collections import Counter
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import func, select

from backend.learning.annotations import gold
from backend.learning.annotations.tables import Annotation
from backend.learning.rounds.tables import Round
from backend.people.audit.tables import AuditEntry
from backend.people.users.tables import Role
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import Patch
from tests.conftest import Service
from tests.support.ready import (
    code,
    patches_of,
    pixels,
    png,
    predicted_slide,
    put,
    ready_slide,
    some_mask,
)


def ids(service: Service, slide_id: str) -> list[str]:
    return [patch["id"] for patch in patches_of(service.client, slide_id, order="position")]


def count(service: Service, table: type[Any]) -> int:
    with service.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def revisions(service: Service, patch_id: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = service.client.get(f"/patches/{patch_id}/annotations").json()[
        "items"
    ]
    return items


def test_a_mask_comes_back_bit_for_bit(service: Service) -> None:
    patch_id = ids(service, ready_slide(service))[0]
    mask = some_mask()
    answer = put(service.client, patch_id, mask, seconds_spent=12.5, source="scratch")
    assert answer.status_code == 201
    assert answer.headers["ETag"] == '"r1"'
    body = answer.json()
    assert body["patch"]["state"] == "annotated"
    assert body["patch"]["revision"] == 1
    shown = service.client.get(f"/patches/{patch_id}")
    assert shown.headers["ETag"] == '"r1"'
    assert shown.json() == body["patch"]
    assert (pixels(service.client.get(f"/patches/{patch_id}/annotation.png")) == mask).all()
    [revision] = revisions(service, patch_id)
    assert revision == body["annotation"]
    assert revision["seconds_spent"] == 12.5
    assert revision["source"] == "scratch"
    assert (revision["revision"], revision["base_revision"]) == (1, 0)
    assert revision["author"]["username"]


def test_equal_masks_are_one_blob_however_they_were_written(service: Service) -> None:
    first, second = ids(service, ready_slide(service))[:2]
    mask = some_mask()
    one = put(service.client, first, png(mask, compress_level=1)).json()["annotation"]
    two = put(service.client, second, png(mask, compress_level=9, optimize=True)).json()
    assert one["mask_sha256"] == two["annotation"]["mask_sha256"]


def test_every_revision_stays(service: Service) -> None:
    patch_id = ids(service, ready_slide(service))[0]
    other = service.client_of(Role.PATHOLOGIST)
    put(service.client, patch_id, some_mask(0)).raise_for_status()
    put(other, patch_id, some_mask(1), if_match='"r1"').raise_for_status()
    put(service.client, patch_id, some_mask(2), if_match='W/"r2"').raise_for_status()
    listed = revisions(service, patch_id)
    assert [each["revision"] for each in listed] == [3, 2, 1]
    assert len({each["author"]["id"] for each in listed}) == 2
    for each, seed in zip(listed, (2, 1, 0), strict=True):
        stored = Image.open(io.BytesIO(service.blobs.read(each["mask_sha256"])))
        assert (np.asarray(stored) == some_mask(seed)).all()


def test_without_a_base_nothing_is_written(service: Service) -> None:
    patch_id = ids(service, ready_slide(service))[0]
    for if_match in (None, "*"):
        answer = put(service.client, patch_id, some_mask(), if_match=if_match)
        assert code(answer) == (428, "precondition_required")
    first = [("If-None-Match", "*")]
    answer = put(service.client, patch_id, some_mask(), if_match=None, headers=first)
    assert answer.status_code == 201
    answer = put(service.client, patch_id, some_mask(1), if_match=None, headers=first)
    assert code(answer) == (412, "stale")


def test_a_stale_base_is_shown_what_is_there_now(service: Service) -> None:
    patch_id = ids(service, ready_slide(service))[0]
    mine = put(service.client, patch_id, some_mask(0)).json()["annotation"]
    other = service.client_of(Role.PATHOLOGIST)
    for if_match in ('"r0"', '"r7"', '"something"'):
        answer = put(other, patch_id, some_mask(1), if_match=if_match)
        assert code(answer) == (412, "stale")
        assert answer.headers["ETag"] == '"r1"'
        current = answer.json()["current"]
        assert current["revision"] == 1
        assert current["author"] == mine["author"]
        assert current["mask_sha256"] == mine["mask_sha256"]
    assert len(revisions(service, patch_id)) == 1


def test_a_repeated_request_writes_nothing_twice(service: Service) -> None:
    patch_id = ids(service, ready_slide(service))[0]
    first = put(service.client, patch_id, some_mask())
    again = put(service.client, patch_id, some_mask())
    assert again.status_code == 200
    assert again.headers["ETag"] == '"r1"'
    assert again.json() == first.json()
    other = service.client_of(Role.PATHOLOGIST)
    assert put(other, patch_id, some_mask()).status_code == 412, "equal pixels, another author"
    assert len(revisions(service, patch_id)) == 1


def test_of_two_savers_at_once_one_is_told(service: Service) -> None:
    patch_id = ids(service, ready_slide(service))[0]
    clients = [service.client_of(Role.PATHOLOGIST) for _ in range(4)]
    start = threading.Barrier(len(clients))
    statuses: list[int] = []

    def save(index: int) -> None:
        start.wait()
        statuses.append(put(clients[index], patch_id, some_mask(index)).status_code)

    threads = [threading.Thread(target=save, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, 412, 412, 412]
    assert len(revisions(service, patch_id)) == 1


@pytest.mark.parametrize(
    "query", [{"seconds_spent": -1}, {"seconds_spent": "nan"}, {"source": "model"}]
)
def test_nonsense_beside_the_mask_is_refused(service: Service, query: dict[str, Any]) -> None:
    patch_id = ids(service, ready_slide(service))[0]
    assert code(put(service.client, patch_id, some_mask(), **query)) == (422, "invalid")


def test_the_source_is_honest(service: Service) -> None:
    slide_id = predicted_slide(service)
    accepted, touched, drawn = ids(service, slide_id)[:3]
    proposal = pixels(service.client.get(f"/patches/{accepted}/proposal.png"))
    answer = put(service.client, accepted, proposal, source="proposal").json()["annotation"]
    assert answer["source"] == "proposal"
    shown = service.client.get(f"/patches/{accepted}").json()
    assert answer["model_version_id"] == shown["model_version_id"]
    changed = pixels(service.client.get(f"/patches/{touched}/proposal.png")).copy()
    changed[0, 0] ^= 255
    answer = put(service.client, touched, changed, source="proposal").json()["annotation"]
    assert answer["source"] == "edited"
    answer = put(service.client, drawn, some_mask(), source="scratch").json()["annotation"]
    assert answer["source"] == "scratch"


def test_who_only_looks_writes_nothing(service: Service) -> None:
    patch_id = ids(service, ready_slide(service))[0]
    viewer = service.client_of(Role.VIEWER)
    assert code(put(viewer, patch_id, some_mask())) == (403, "not_allowed")
    put(service.client, patch_id, some_mask()).raise_for_status()
    assert viewer.get(f"/patches/{patch_id}/annotation.png").status_code == 200
    assert len(viewer.get(f"/patches/{patch_id}/annotations").json()["items"]) == 1


def test_unknown_and_unreadable_patches(service: Service) -> None:
    assert code(put(service.client, "none", some_mask())) == (404, "patch_not_found")
    patch_id = ids(service, ready_slide(service))[0]
    with service.database.writing() as session:
        session.get_one(Patch, patch_id).problem = {"code": "region_unreadable", "detail": ""}
    assert code(put(service.client, patch_id, some_mask())) == (409, "patch_unreadable")


def test_each_revision_is_in_the_audit_trail(service: Service) -> None:
    patch_id = ids(service, ready_slide(service))[0]
    for revision in range(2):
        mask = some_mask(revision)
        put(service.client, patch_id, mask, if_match=f'"r{revision}"').raise_for_status()
    with service.database.reading() as session:
        entries = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.subject_id == patch_id, AuditEntry.action == "annotation.saved")
            .order_by(AuditEntry.id)
        ).all()
    assert [entry.details["revision"] for entry in entries] == [1, 2]
    assert all(entry.user_id for entry in entries)


def test_gold_on_the_first_slides_is_every_fifth_patch_for_ever(service: Service) -> None:
    slide_id = ready_slide(service, width=1024, height=768)
    for index, patch_id in enumerate(ids(service, slide_id)[:8]):
        answer = put(service.client, patch_id, some_mask(index)).json()["patch"]
        assert answer["role"] == ("gold" if index % 5 == 2 else "training"), index
    third = ids(service, slide_id)[2]
    again = put(service.client, third, some_mask(99), if_match='"r1"').json()["patch"]
    assert again["role"] == "gold"


def test_the_third_slide_is_gold_as_a_whole(service: Service) -> None:
    slides = [ready_slide(service, seed=seed) for seed in (3, 4, 5, 6)]
    roles = [
        [
            put(service.client, patch_id, some_mask()).json()["patch"]["role"]
            for patch_id in ids(service, slide_id)[:3]
        ]
        for slide_id in slides
    ]
    assert Counter(roles[0] + roles[1])["gold"] == 1, "the third of six"
    assert roles[2] == ["gold"] * 3
    assert roles[3] == ["training"] * 3
    more = put(service.client, ids(service, slides[0])[4], some_mask()).json()["patch"]
    assert more["role"] == "training", "with a gold slide there, mixed slides only train"
    with service.database.reading() as session:
        splits = [str(session.get_one(Slide, slide_id).split) for slide_id in slides]
    assert splits == ["mixed", "mixed", "gold", "training"]


def test_every_fifth_slide_after_that_is_gold() -> None:
    splits = [str(gold.split_of(before)) for before in range(14)]
    assert [index + 1 for index, split in enumerate(splits) if split == "gold"] == [3, 8, 13]
    assert splits[:2] == ["mixed", "mixed"]


def test_enough_annotations_start_one_round(service: Service) -> None:
    slide_id = ready_slide(service, width=1024, height=1024)
    patches = ids(service, slide_id)
    for index, patch_id in enumerate(patches[:12]):
        assert count(service, Round) == 0, f"before the {index + 1}th"
        put(service.client, patch_id, some_mask(index)).raise_for_status()
    assert count(service, Round) == 1, "ten to train on, two to judge by"
    put(service.client, patches[12], some_mask()).raise_for_status()
    assert count(service, Round) == 1
    assert count(service, Annotation) == 13
