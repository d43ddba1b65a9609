"""Imports of masks that are large: jobs with a share for each person, slide and case."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete

from backend.exchange.masks import geojson_routes, import_jobs
from backend.job_kinds import JobKind
from backend.jobs.tables import Job
from backend.people.users.tables import Role
from backend.slides.patches.tables import Patch
from tests.conftest import Service
from tests.support.ready import code, patches_of, put, ready_slide, some_mask

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geojson_routes, "SMALL", 10)


def square(left: float, side: float) -> list[list[float]]:
    right = left + side
    return [[left, left], [right, left], [right, right], [left, right], [left, left]]


def outlines(*rings: list[list[float]]) -> Json:
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"classification": {"name": "Membrane"}},
            }
            for ring in rings
        ],
    }


def send(service: Service, slide_id: str, content: Json, **headers: str) -> Any:
    return service.client.post(
        f"/slides/{slide_id}/annotations.geojson", json=content, headers=headers
    )


def drawn(service: Service, job_id: str) -> Json:
    service.run_jobs((JobKind.IMPORT,))
    job: Json = service.client.get(f"/jobs/{job_id}").json()
    return job


def test_a_large_import_is_a_job_whose_result_is_what_a_small_one_answers(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = outlines(square(200, 112), square(10, 20))
    slide_id, twin = ready_slide(service), ready_slide(service, seed=4)
    answer = send(service, slide_id, content)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"].endswith(f"/jobs/{answer.json()['id']}")
    again = send(service, slide_id, content)
    assert again.json()["id"] == answer.json()["id"], "sent twice, one job"
    other = send(service, slide_id, outlines(square(1, 9)))
    assert code(other) == (409, "import_going_on")
    job = drawn(service, answer.json()["id"])
    assert (job["state"], job["result"]["written"]) == ("succeeded", 4)
    monkeypatch.setattr(geojson_routes, "SMALL", 1 << 18)
    at_once = send(service, twin, content).json()

    def told(outcome: Json) -> list[Json]:
        return [{**each, "patch_id": None} for each in outcome["items"]]

    assert told(at_once) == told(job["result"])
    with service.database.reading() as session:
        assert session.get_one(Job, job["id"]).params == {}, "what was sent can be swept"
    [listed] = service.client.get("/jobs?kind=import").json()["items"]
    assert "result" not in listed, "lists stay short"


def test_what_is_annotated_before_a_job_draws_is_in_conflict_and_stays(service: Service) -> None:
    slide_id = ready_slide(service)
    patches = [each["id"] for each in patches_of(service.client, slide_id)]
    put(service.client, patches[0], some_mask(1)).raise_for_status()
    etag = service.client.get(f"/slides/{slide_id}/annotations.geojson").headers["ETag"]
    content = outlines(square(10, 300))
    answer = send(service, slide_id, content, **{"If-Match": etag})
    # after the request, before the worker: one patch that was seen, one that nobody had drawn on
    other = service.client_of(Role.PATHOLOGIST)
    put(other, patches[1], some_mask(2)).raise_for_status()
    outcomes = {
        each["patch_id"]: each["outcome"]
        for each in drawn(service, answer.json()["id"])["result"]["items"]
    }
    assert outcomes[patches[0]] == "written"
    assert outcomes[patches[1]] == "conflict"
    assert code(send(service, slide_id, content, **{"If-Match": etag})) == (412, "stale")


def test_what_can_not_be_drawn_fails_the_job_in_words(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = ready_slide(service)
    place = f"/slides/{slide_id}/annotations.geojson"
    monkeypatch.setattr(import_jobs, "OF_JOB", 1_000_000)
    # each is nearly nothing, and asks for every pixel of the patches it crosses
    slivers = [[[x, 0], [x + 400, 500], [x + 400.5, 500], [x, 0]] for x in range(200)]
    bow_tie = [[0, 0], [90, 90], [90, 0], [0, 90], [0, 0]]
    for body, expected in (
        (b"{" * 50, "not_geojson"),
        (b'["\\u0000' + b" " * 50 + b'"]', "bad_request"),
        (outlines(bow_tie), "self_intersection"),
        (outlines(*slivers), "too_much_at_once"),
    ):
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = service.client.post(place, **sent)
        assert answer.status_code == 202, answer.text
        job = drawn(service, answer.json()["id"])
        assert (job["state"], job["problem"]["code"]) == ("failed", expected)
        assert job["problem"]["detail"][0].isupper()
    assert service.client.get(place).json()["features"] == [], "nothing is drawn of what fails"


def test_a_person_and_a_case_have_a_share_of_the_imports(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_jobs, "MOST_OF_USER", 2)
    monkeypatch.setattr(import_jobs, "MOST_OF_CASE", 3)
    slides = [ready_slide(service, seed=seed) for seed in (3, 4, 5, 6)]
    for slide_id in slides:
        changed = service.client.patch(f"/slides/{slide_id}", json={"case_id": "K 1"})
        assert changed.status_code == 200, changed.text
    content = outlines(square(1, 9))
    assert [send(service, each, content).status_code for each in slides[:2]] == [202, 202]
    refused = send(service, slides[2], content)
    assert code(refused) == (429, "too_many_imports")
    assert int(refused.headers["Retry-After"]) > 0
    other = service.client_of(Role.PATHOLOGIST)
    answers = [
        other.post(f"/slides/{each}/annotations.geojson", json=content) for each in slides[2:]
    ]
    assert [each.status_code for each in answers] == [202, 429]
    assert "case" in answers[1].json()["detail"]
    service.run_jobs((JobKind.IMPORT,))
    assert send(service, slides[3], content).status_code == 202


def test_the_body_of_an_import_is_kept_whole(service: Service) -> None:
    slide_id = ready_slide(service)
    content = outlines(*[square(x / 20 - 0.02, 0.04) for x in range(200, 4700)])
    answer = send(service, slide_id, content)
    with service.database.reading() as session:
        sha256 = session.get_one(Job, answer.json()["id"]).params["content_sha256"]
    blobs = service.blobs
    assert len(blobs.read(sha256)) > 1 << 20
    assert not list(blobs.folder.glob(".import-*"))
    patch_id = drawn(service, answer.json()["id"])["result"]["items"][0]["patch_id"]
    mask = service.client.get(f"/patches/{patch_id}/annotation.png")
    assert mask.status_code == 200
    assert np.frombuffer(mask.content, np.uint8).size > 0


def test_a_slide_without_patches_takes_nothing_and_says_so(service: Service) -> None:
    slide_id = ready_slide(service)
    with service.database.writing() as session:
        session.execute(delete(Patch).where(Patch.slide_id == slide_id))
    answer = send(service, slide_id, outlines(square(1, 9)))
    result = drawn(service, answer.json()["id"])["result"]
    assert (result["items"], result["features_on_no_patch"]) == ([], 1)
