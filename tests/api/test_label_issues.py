"""Label issues over REST: an audit is asked for, its findings listed until somebody draws anew."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from backend.jobs import service as jobs
from backend.jobs.tables import Job, JobState
from backend.learning.annotations import masks
from backend.learning.annotations.tables import Annotation
from backend.learning.label_issues import lifecycle
from backend.learning.label_issues.lifecycle import DoubtfulPiece, JudgedMask
from backend.learning.label_issues.tables import IssueKind, LabelAudit, LabelIssue
from backend.learning.rounds.snapshot import Snapshot
from backend.people.users.tables import Role
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import Patch
from tests.conftest import Service
from tests.support.learning import add_slide, annotate_some
from tests.support.ready import code, pixels, put, some_mask

WEIGHTS = "b" * 64


def annotated(service: Service, training: int = 2, gold: int = 0, seed: int = 1) -> str:
    slide_id = add_slide(service.database, service.settings, seed)
    annotate_some(service.database, service.settings, slide_id, seed, training, gold)
    return slide_id


def ask(service: Service, **headers: str) -> dict[str, Any]:
    answer = service.client.post("/label-issues", headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()


def listed(service: Service, **query: Any) -> dict[str, Any]:
    answer = service.client.get("/label-issues", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def drawn(row: int, column: int, side: int) -> np.ndarray:
    piece = np.zeros((256, 256), np.uint8)
    piece[row : row + side, column : column + side] = 255
    return piece


def finding(service: Service, annotation_id: str, number: int) -> DoubtfulPiece:
    """A doubtful square: missing ones are even, each at a place and of a size of its own."""
    row, column, side = 10 * number, 5, 8 + number
    return DoubtfulPiece(
        annotation_id=annotation_id,
        kind=IssueKind.SURPLUS if number % 2 else IssueKind.MISSING,
        row=row,
        column=column,
        height=side,
        width=side,
        size_px=side * side,
        score=0.9 - number / 100,
        pixels_sha256=service.blobs.put(masks.encode(drawn(row, column, side))),
    )


def end(service: Service, job_id: str, *, held_out: str = "slide", of_each: int = 2) -> None:
    """End an audit as a worker does, with `of_each` issues in every mask of its snapshot."""
    with service.database.writing() as session:
        assert jobs.claim(session, job_id, owner="me", lease_seconds=60)
        audit = lifecycle.of_job(session, job_id)
        assert audit is not None
        snapshot = Snapshot.from_document(service.blobs.read(audit.snapshot_sha256))
        ids = [patch.annotation_id for patch in snapshot.patches]
        lifecycle.finish(
            session,
            audit.id,
            held_out=held_out,
            judged=[JudgedMask(each, WEIGHTS, 256 * 256, 6554) for each in ids],
            doubtful=[finding(service, each, number) for number in range(of_each) for each in ids],
        )
        jobs.succeed(session, job_id, owner="me")


@pytest.fixture
def audited(service: Service) -> list[str]:
    """Two slides of two masks each and an audit of them; the slides' ids."""
    slide_ids = [annotated(service, seed=seed) for seed in (1, 2)]
    end(service, ask(service)["id"])
    return slide_ids


@pytest.mark.parametrize(("training", "gold"), [(0, 0), (1, 1)])
def test_nothing_can_be_judged_out_of_fold_with_fewer_than_two_masks(
    service: Service, training: int, gold: int
) -> None:
    annotated(service, training, gold)
    answer = service.client.post("/label-issues")
    assert code(answer) == (422, "too_few_annotations")
    assert f"there are {training}" in answer.json()["detail"]
    assert listed(service)["job"] is None


def test_before_the_first_audit_the_list_is_empty_and_says_what_waits(service: Service) -> None:
    annotated(service, 2, 1)
    before = listed(service)
    assert (before["items"], before["audit"], before["job"]) == ([], None, None)
    assert before["not_judged"] == 3
    job = ask(service)
    assert (job["kind"], job["state"]) == ("audit_labels", "queued")
    assert listed(service)["job"]["id"] == job["id"]


def test_there_is_one_audit_at_a_time(service: Service) -> None:
    annotated(service)
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: ask(service), range(4)))
    assert len({reply["id"] for reply in replies}) == 1
    with service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(LabelAudit)) == 1
        assert session.scalar(select(func.count()).select_from(Job)) == 1


def test_a_repeated_request_gets_the_job_that_it_made(service: Service) -> None:
    annotated(service)
    key = {"Idempotency-Key": "an audit"}
    first = ask(service, **key)
    end(service, first["id"])
    again = ask(service, **key)
    assert (again["id"], again["state"]) == (first["id"], "succeeded")
    assert ask(service)["id"] != first["id"]


def test_viewers_look_and_do_not_ask(service: Service, audited: list[str]) -> None:
    viewer = service.client_of(Role.VIEWER)
    assert viewer.post("/label-issues").status_code == 403
    assert len(viewer.get("/label-issues").json()["items"]) == 8


def test_the_worst_come_first_with_all_a_person_needs(service: Service, audited: list[str]) -> None:
    shown = listed(service)
    assert [each["rank"] for each in shown["items"]] == list(range(1, 9))
    scores = [each["score"] for each in shown["items"]]
    assert scores == sorted(scores, reverse=True)
    audit = shown["audit"]
    assert (audit["judged"], audit["open_issues"], audit["held_out"]) == (4, 8, "slide")
    assert (shown["not_judged"], shown["job"], shown["next_cursor"]) == (0, None, None)

    last = shown["items"][-1]
    assert last["kind"] == "surplus"
    assert last["within_patch"] == {"row": 10, "column": 5, "height": 9, "width": 9}
    assert (last["size_px"], last["area_um2"]) == (81, 81 / 16)
    assert "5.1 µm² where a model that never saw this slide's masks finds none" in last["text"]
    assert "(89% sure)" in last["text"]
    assert last["weights_sha256"] == WEIGHTS
    patch = service.client.get(f"/patches/{last['patch']['id']}").json()
    assert last["box"] == {"x": patch["x"] + 5, "y": patch["y"] + 10, "width": 9, "height": 9}
    assert last["patch"]["slide_id"] in audited
    [revision] = service.client.get(f"/patches/{patch['id']}/annotations").json()["items"]
    assert last["annotation"]["id"] == revision["id"]
    assert last["annotation"]["mask_sha256"] == revision["mask_sha256"]
    assert last["annotation"]["author"]["username"] == "annotator"
    assert last["annotation"]["doubtful_fraction"] == pytest.approx(0.1, abs=1e-4)

    seen = pixels(service.client.get(last["pixels"].removeprefix("/api/v1")))
    np.testing.assert_array_equal(seen, drawn(10, 5, 9))


def test_the_list_is_narrowed_by_slide_patch_and_kind(service: Service, audited: list[str]) -> None:
    of_slide = listed(service, slide_id=audited[0])["items"]
    assert {each["patch"]["slide_id"] for each in of_slide} == {audited[0]}
    assert len(of_slide) == 4
    patch_id = of_slide[0]["patch"]["id"]
    of_patch = listed(service, patch_id=patch_id, kind="missing")["items"]
    assert [(each["patch"]["id"], each["kind"]) for each in of_patch] == [(patch_id, "missing")]
    assert "No membrane is drawn" in of_patch[0]["text"]


def test_pages_fit_together_while_a_newer_audit_ends(service: Service, audited: list[str]) -> None:
    whole = [each["id"] for each in listed(service)["items"]]
    first = listed(service, limit=5)
    end(service, ask(service)["id"], of_each=1)
    second = listed(service, limit=5, cursor=first["next_cursor"])
    assert [each["id"] for page in (first, second) for each in page["items"]] == whole
    assert second["next_cursor"] is None
    newer = listed(service)["items"]
    assert len(newer) == 4
    assert not {each["id"] for each in newer} & set(whole)


def test_a_later_revision_makes_its_issues_disappear(service: Service, audited: list[str]) -> None:
    worst = listed(service)["items"][0]
    corrected = worst["patch"]["id"]
    assert put(service.client, corrected, some_mask(), if_match='"r1"').status_code == 201
    left = listed(service)
    assert corrected not in {each["patch"]["id"] for each in left["items"]}
    assert (len(left["items"]), left["audit"]["open_issues"], left["not_judged"]) == (6, 6, 1)
    assert listed(service, patch_id=corrected)["items"] == []
    # who still looks at the old list sees what it was about
    assert service.client.get(f"/label-issues/{worst['id']}/pixels.png").status_code == 200

    end(service, ask(service)["id"])
    again = listed(service, patch_id=corrected)["items"]
    assert [each["annotation"]["revision"] for each in again] == [2, 2]


def test_what_a_second_person_returned_still_shows_its_issues(
    service: Service, audited: list[str]
) -> None:
    patch_id = listed(service)["items"][0]["patch"]["id"]
    verdict = {"verdict": "returned", "comment": "look at the issues"}
    reviewer = service.client_of(Role.PATHOLOGIST)
    assert reviewer.post(f"/patches/{patch_id}/review", json=verdict).status_code == 201
    shown = listed(service, patch_id=patch_id)["items"]
    assert [each["patch"]["state"] for each in shown] == ["returned", "returned"]


def test_an_audit_that_is_cancelled_leaves_the_last_one_in_place(
    service: Service, audited: list[str]
) -> None:
    before = listed(service)["items"]
    job = ask(service)
    folder = lifecycle.audit_folder(service.settings, job["id"])
    folder.mkdir(parents=True)
    assert service.client.delete(f"/jobs/{job['id']}").json()["state"] == JobState.CANCELLED
    assert not folder.exists()
    assert listed(service)["items"] == before
    assert ask(service)["id"] != job["id"]


def test_issues_go_with_the_mask_they_are_about(service: Service, audited: list[str]) -> None:
    with service.database.writing() as session:
        # masks go with their slide only: the database holds them
        masks_of = select(Annotation.id).join(Patch).where(Patch.slide_id == audited[0])
        gone = set(session.scalars(masks_of))
        session.delete(session.get_one(Slide, audited[0]))
    with service.database.reading() as session:
        left = session.scalars(select(LabelIssue.annotation_id)).all()
    assert len(left) == 4
    assert len(gone) == 2
    assert gone.isdisjoint(left)


def test_what_is_not_there_is_said_so(service: Service, audited: list[str]) -> None:
    for query, told in (
        ({"slide_id": "none"}, (404, "slide_not_found")),
        ({"patch_id": "none"}, (404, "patch_not_found")),
        ({"cursor": "none"}, (400, "bad_cursor")),
        ({"kind": "none"}, (422, "invalid")),
    ):
        assert code(service.client.get("/label-issues", params=query)) == told
    audit_id = listed(service)["audit"]["id"]
    for rank in ("", "x", "9" * 30, "²"):
        answer = service.client.get("/label-issues", params={"cursor": f"{audit_id}:{rank}"})
        assert code(answer) == (400, "bad_cursor")
    missing = service.client.get("/label-issues/none/pixels.png")
    assert code(missing) == (404, "label_issue_not_found")
