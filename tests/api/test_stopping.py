"""The rule to stop over REST: its places, the queue that has them first, what reports print."""

import json
from typing import Any

import numpy as np
import pytest

from tests.api.test_live_score import cells_of, cuts_of, put, score_of
from tests.api.test_queue import ask
from tests.conftest import Service
from tests.support.ready import code, png, predicted_slide
from tests.support.scoring import computed, report_of, slide_with_tumour
from worker.commands.replay import replayed, steps_in

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def review(service: Service, patch_id: str) -> None:
    """Accept what is proposed for a patch."""
    patch = service.client.get(f"/patches/{patch_id}").json()
    answer = service.client.put(
        f"/patches/{patch_id}/annotation",
        params={"source": "proposal"},
        content=service.client.get(f"/patches/{patch_id}/proposal.png").content,
        headers={"Content-Type": "image/png", "If-Match": f'"r{patch["revision"]}"'},
    )
    assert answer.status_code in (200, 201), answer.text


def clinical(service: Service, slide_id: str) -> dict[str, Any] | None:
    return ask(service.client, slide_id=slide_id, strategy="clinical")


def near_three_plus(service: Service, slide_id: str) -> dict[str, float]:
    """Return thresholds with which a little over 10 % of the cells are intense and complete."""
    cuts = cuts_of(score_of(service, slide_id))
    cells = cells_of(service, slide_id)["items"]
    whole = [each["intensity"] for each in cells if each["completeness"] >= cuts["c_full"]]
    return cuts | {"t_intense": sorted(whole)[-round(0.12 * len(cells))]}


def test_the_places_come_first_and_are_counted_down_until_one_may_stop(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    assert score_of(service, slide_id)["stop"] is None
    put(service, slide_id)
    put(service, slide_id, thresholds=near_three_plus(service, slide_id))
    score = score_of(service, slide_id)
    stop = score["stop"]
    assert not stop["met"]
    assert stop["met"] == (stop["confidence"] >= stop["enough"])
    assert stop["met"] == (stop["places_left"] == [])
    patches = {
        each["id"] for each in service.client.get(f"/slides/{slide_id}/patches").json()["items"]
    }
    reviewed: list[str] = []
    while not stop["met"]:
        assert set(stop["places_left"]) <= patches - set(reviewed)
        assert score["score"] not in stop["could_become"]
        first = clinical(service, slide_id)
        assert first is not None
        assert first["patch"]["id"] == stop["places_left"][0]
        assert first["reason"]["place"] == 1
        assert first["reason"]["places_left"] == len(stop["places_left"])
        reviewed.append(stop["places_left"][0])
        review(service, reviewed[-1])
        service.run_jobs()
        score = score_of(service, slide_id)
        stop = score["stop"]
        if not stop["places_left"]:
            break
    assert score["document"]["stop"]["places_reviewed"] == len(reviewed)
    assert reviewed
    put(service, slide_id, thresholds=None)
    score = score_of(service, slide_id)
    steps = service.client.get(f"/slides/{slide_id}/score/log").json()["steps"]
    assert [step["number"] for step in steps] == list(range(1, len(reviewed) + 4))
    patches_changed = [len(step["changes"]["patches"]) for step in steps]
    assert patches_changed == [0, 0, *([1] * len(reviewed)), 0]
    assert [step["changes"]["rules"] for step in steps[1:]] == [
        True,
        *([False] * len(reviewed)),
        True,
    ]
    assert steps[-1]["outcome"]["counts"] == score["document"]["counts"]
    report_id = computed(service, slide_id)
    document = report_of(service, report_id)["document"]
    # a report computes it from scratch, and says the same to the last digit
    assert document["stop"] == score["document"]["stop"]
    page = service.client.get(f"/reports/{report_id}.html").text
    assert "When reading may stop" in page
    assert document["stop"]["text"].replace("'", "&#39;") in page
    whole = json.loads(service.client.get(f"/reports/{report_id}.json").content)
    assert whole["document"]["stop"] == document["stop"]
    log = service.client.get(f"/reports/{report_id}.log.json").json()
    assert log["steps"] == steps
    assert log["report"] == whole["urn"]
    again = list(replayed(steps_in(json.dumps(log).encode())))
    assert all(step["as_logged"] for step in again)
    assert again[-1]["category"] == score["printed_score"]
    pdf = service.client.get(f"/reports/{report_id}.pdf")
    assert pdf.status_code == 200
    job = service.client.post(f"/reports/{report_id}/verify").json()
    service.run_jobs()
    assert service.client.get(f"/jobs/{job['id']}").json()["state"] == "succeeded"


@ON_SQLITE
def test_without_tumour_there_is_no_category_and_no_rule(service: Service) -> None:
    slide_id = predicted_slide(service)
    put(service, slide_id)
    stop = score_of(service, slide_id)["stop"]
    assert (stop["met"], stop["confidence"], stop["after_them"]) == (False, None, None)
    assert (stop["places_left"], stop["could_become"]) == ([], [])
    assert "no category" in stop["text"]
    page = service.client.get(f"/reports/{computed(service, slide_id)}.html").text
    assert "no category" in page


@ON_SQLITE
def test_when_everything_is_reviewed_nothing_is_left(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    put(service, slide_id)
    blank = png(np.zeros((256, 256), np.uint8))
    for patch in service.client.get(f"/slides/{slide_id}/patches?limit=200").json()["items"]:
        answer = service.client.put(
            f"/patches/{patch['id']}/annotation",
            params={"source": "scratch"},
            content=blank,
            headers={"Content-Type": "image/png", "If-Match": f'"r{patch["revision"]}"'},
        )
        assert answer.status_code in (200, 201), answer.text
    service.run_jobs()
    score = score_of(service, slide_id)
    assert score["score"] == "0"
    assert score["stop"]["places_left"] == []
    assert score["document"]["reviewed_share"] == 1
    assert score["stop"]["met"]
    assert clinical(service, slide_id) is None


@ON_SQLITE
def test_a_report_of_a_slide_that_nobody_scored_live_has_no_log(service: Service) -> None:
    report_id = computed(service, slide_with_tumour(service))
    answer = service.client.get(f"/reports/{report_id}.log.json")
    assert code(answer) == (409, "no_score_log")
