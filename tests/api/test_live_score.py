"""The live score over REST: it follows masks, regions, thresholds and decisions, bit for bit."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select, update

from backend.her2.scores import service as scores
from backend.her2.scores import thresholds
from backend.her2.scores.cells import REACH_UM, nearest
from backend.her2.scores.schemas import ScoreOut
from backend.her2.scores.service import Decision
from backend.her2.scores.tables import CellAction, LiveScore
from backend.job_kinds import JobKind
from models.her2.tiles import measure
from tests.conftest import Service
from tests.support.ready import code, ready_slide
from tests.support.scoring import (
    ISH,
    REPORT,
    SIDE,
    box,
    computed,
    pathologist,
    report_of,
    sign,
    slide_with_tumour,
)
from tests.support.shapes import held
from worker.her2 import checkpoint as checkpoint_module
from worker.her2 import document, live

SCORE = (JobKind.SCORE,)


def put(service: Service, slide_id: str, **what: Any) -> None:
    answer = service.client.put(f"/slides/{slide_id}/score", json=what)
    assert answer.status_code == 202, answer.text
    service.run_jobs(SCORE)


def score_of(service: Service, slide_id: str) -> dict[str, Any]:
    answer = service.client.get(f"/slides/{slide_id}/score")
    assert answer.status_code == 200, answer.text
    return held(answer.json(), ScoreOut)


def cuts_of(score: dict[str, Any]) -> dict[str, float]:
    """Return the thresholds that a what-if can change."""
    said = score["document"]["protocol"]["thresholds"]
    return {name: said[name] for name in (*thresholds.STEPS, *thresholds.SHARES)}


def cells_of(service: Service, slide_id: str, **box: float) -> dict[str, Any]:
    where = {"x": 0, "y": 0, "width": SIDE, "height": SIDE, "limit": 10_000, **box}
    answer = service.client.get(f"/slides/{slide_id}/cells", params=where)
    assert answer.status_code == 200, answer.text
    return answer.json()


def from_scratch(service: Service, slide_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Forget what is kept and compute again; return the score and its files."""
    with service.database.writing() as session:
        session.execute(update(LiveScore).values(inputs=None, files={}))
    put(service, slide_id)
    return score_of(service, slide_id), files_of(service)


def files_of(service: Service) -> dict[str, Any]:
    with service.database.reading() as session:
        return dict(session.scalars(select(LiveScore)).one().files)


def save_mask(service: Service, slide_id: str, number: int, seed: int) -> None:
    patches = service.client.get(f"/slides/{slide_id}/patches").json()["items"]
    patch = patches[number % len(patches)]
    lines = np.zeros((256, 256), np.uint8)
    rng = np.random.default_rng(seed)
    for at in rng.integers(8, 248, 6):
        lines[at - 3 : at + 3] = 255
        lines[:, at - 3 : at + 3] = 255
    content = io.BytesIO()
    Image.fromarray(lines).save(content, "PNG")
    answer = service.client.put(
        f"/patches/{patch['id']}/annotation",
        params={"source": "scratch"},
        content=content.getvalue(),
        headers={"Content-Type": "image/png", "If-Match": f'"r{patch["revision"]}"'},
    )
    assert answer.status_code in (200, 201), answer.text


def decide(service: Service, slide_id: str, *decisions: dict[str, Any]) -> Any:
    body = {"decisions": list(decisions), "reason": "looked at it"}
    return service.client.post(f"/slides/{slide_id}/cells/decisions", json=body)


def test_after_any_change_the_score_is_that_of_a_computation_from_scratch(
    service: Service,
) -> None:
    slide_id = slide_with_tumour(service)
    assert score_of(service, slide_id)["state"] == "none"
    put(service, slide_id)
    first = score_of(service, slide_id)
    assert first["state"] == "current"
    assert first["score"] == first["document"]["score"]
    seen = [first["document"]]

    def changed() -> None:
        waiting = score_of(service, slide_id)
        assert (waiting["state"], waiting["document"]) == ("computing", seen[-1])
        service.run_jobs(SCORE)
        now = score_of(service, slide_id)
        assert now["state"] == "current"
        assert now["document"] != seen[-1]
        seen.append(now["document"])

    save_mask(service, slide_id, 5, 1)
    changed()
    added = service.client.post(
        f"/slides/{slide_id}/regions", json=box(100, 100, 300, 300, "exclude")
    )
    assert added.status_code == 201
    changed()
    # two changes at once are one computation
    save_mask(service, slide_id, 2, 2)
    save_mask(service, slide_id, 9, 3)
    assert len(service.queued(SCORE)) == 1
    changed()
    some = cells_of(service, slide_id)["items"][::40]
    excluded, other = some[0], some[1]
    label = "IC" if other["measured"] != "IC" else "N"
    answer = decide(
        service,
        slide_id,
        {"x": excluded["x"] + 1, "y": excluded["y"], "action": "exclude"},
        {"x": other["x"], "y": other["y"] - 1, "action": "class", "label": label},
    )
    assert answer.status_code == 202, answer.text
    changed()
    kept, files = score_of(service, slide_id), files_of(service)
    again, afresh = from_scratch(service, slide_id)
    assert again["document"] == kept["document"]
    assert afresh["document"] == files["document"]
    assert afresh["cells"] == files["cells"]
    report = report_of(service, computed(service, slide_id))
    assert report["document"]["counts"] == again["document"]["counts"]
    assert report["document"]["excluded_cells"] == 1
    assert report["inputs"]["decisions"]["count"] == 2


def test_thresholds_are_a_what_if_that_measures_nothing_again(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    put(service, slide_id)
    first = score_of(service, slide_id)
    own = cuts_of(first)
    put(service, slide_id, thresholds=own | {"t_intense": own["t_intense"] + 0.2})
    other = score_of(service, slide_id)
    assert other["document"]["counts"] != first["document"]["counts"]
    assert "thresholds_changed" in [flag["code"] for flag in other["document"]["flags"]]
    again, _ = from_scratch(service, slide_id)
    assert again["document"] == other["document"]
    report = report_of(service, computed(service, slide_id))
    assert report["document"]["counts"] == first["document"]["counts"]
    put(service, slide_id, thresholds=None)
    assert score_of(service, slide_id)["document"] == first["document"]
    # the queue by effect on the category has its reasons from the same computation
    item = service.client.get("/queue/next", params={"strategy": "clinical", "slide_id": slide_id})
    assert item.status_code in (200, 204)
    if item.status_code == 200:
        assert item.json()["reason"]["cells_to_flip"] > 0
    swapped = own | {"t_weak": own["t_intense"], "t_intense": own["t_weak"]}
    answer = service.client.put(f"/slides/{slide_id}/score", json={"thresholds": swapped})
    assert code(answer) == (422, "thresholds_order")


def test_cells_are_seen_decided_on_and_taken_back(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    put(service, slide_id)
    every = cells_of(service, slide_id)
    assert every["total"] == score_of(service, slide_id)["document"]["cells"]
    part = cells_of(service, slide_id, x=200, y=300, width=250, height=200)
    inside = [each for each in every["items"] if 200 <= each["x"] < 450 and 300 <= each["y"] < 500]
    assert len(part["items"]) == part["total"] > 3
    assert {(each["x"], each["y"]) for each in inside} == {
        (each["x"], each["y"]) for each in part["items"]
    }
    assert len(cells_of(service, slide_id, limit=2)["items"]) == 2
    cell = part["items"][0]
    at = {"x": cell["x"], "y": cell["y"]}
    assert decide(service, slide_id, {**at, "action": "exclude"}).status_code == 202
    service.run_jobs(SCORE)
    now = score_of(service, slide_id)
    assert now["decisions"] == now["document"]["excluded_cells"] == 1
    [shown] = [each for each in cells_of(service, slide_id)["items"] if each["edited"]]
    assert (shown["x"], shown["included"], shown["measured"]) == (cell["x"], False, cell["label"])
    assert decide(service, slide_id, {**at, "action": "include"}).status_code == 202
    service.run_jobs(SCORE)
    assert score_of(service, slide_id)["document"]["excluded_cells"] == 0
    listed = service.client.get(f"/slides/{slide_id}/cells/decisions").json()["items"]
    assert [each["action"] for each in listed] == ["include", "exclude"]
    nowhere = decide(service, slide_id, {"x": -900.0, "y": 10.0, "action": "exclude"})
    assert code(nowhere) == (422, "no_cell_there")


def test_what_can_not_be_scored_says_why(service: Service) -> None:
    slide_id = ready_slide(service)
    unseen = service.client.put(f"/slides/{slide_id}/score", json={})
    assert code(unseen) == (409, "no_prediction")
    assert "have not been found yet" in unseen.json()["detail"]
    for path in ("cells?x=0&y=0&width=9&height=9",):
        answer = service.client.get(f"/slides/{slide_id}/{path}")
        assert code(answer) == (409, "no_score")
    marked = slide_with_tumour(service)
    regions = service.client.get(f"/slides/{marked}/regions")
    removed = service.client.put(
        f"/slides/{marked}/regions",
        json={"type": "FeatureCollection", "features": []},
        headers={"If-Match": regions.headers["ETag"]},
    )
    assert removed.status_code == 200, removed.text
    put(service, marked)
    found = score_of(service, marked)
    assert (found["score"], found["document"]["reason"]) == ("not assessable", "no_tumour_region")


def test_a_change_during_the_computation_is_not_lost(service: Service, monkeypatch: Any) -> None:
    """The change comes right before the result is written; the same job follows it."""
    slide_id = slide_with_tumour(service)
    put(service, slide_id)
    before = score_of(service, slide_id)["document"]
    write, calls = scores.keep, []

    def keep(*arguments: Any, **more: Any) -> Any:
        calls.append(more["last"])
        if len(calls) == 1:
            session = arguments[0]
            scores.touch(session, service.settings, slide_id)
        return write(*arguments, **more)

    save_mask(service, slide_id, 5, 1)
    monkeypatch.setattr(scores, "keep", keep)
    service.run_jobs(SCORE)
    assert len(calls) >= 2
    now = score_of(service, slide_id)
    assert now["state"] == "current"
    assert now["document"] != before
    assert json.dumps(now["document"])


def draw(service: Service, slide_id: str, *features: dict[str, Any]) -> None:
    """Put regions in the place of all."""
    now = service.client.get(f"/slides/{slide_id}/regions")
    answer = service.client.put(
        f"/slides/{slide_id}/regions",
        json={"type": "FeatureCollection", "features": list(features)},
        headers={"If-Match": now.headers["ETag"]},
    )
    assert answer.status_code == 200, answer.text
    service.run_jobs(SCORE)


@pytest.fixture
def measurings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many cells each measuring of pixels found."""
    found: list[int] = []

    def counting(*arguments: Any, **more: Any) -> Any:
        part = measure(*arguments, **more)
        found.append(len(part.cells))
        return part

    monkeypatch.setattr(live, "measure", counting)
    return found


def test_an_edit_of_a_region_measures_what_was_added_and_nothing_else(
    service: Service, measurings: list[int]
) -> None:
    slide_id = slide_with_tumour(service)
    put(service, slide_id)
    whole = score_of(service, slide_id)["document"]["cells"]
    assert measurings == [whole]
    for region in (
        box(0, 0, 868, SIDE),  # an edge pulled outwards
        box(90, 0, 868, 700),  # two pulled inwards
        box(90, 60, 1000, 560),  # some of both
    ):
        measurings.clear()
        before = score_of(service, slide_id)["document"]["cells"]
        draw(service, slide_id, region)
        kept, files = score_of(service, slide_id), files_of(service)
        assert kept["document"]["cells"] != before
        assert sum(measurings) < 0.3 * whole
        measurings.clear()
        again, afresh = from_scratch(service, slide_id)
        assert measurings == [again["document"]["cells"]]
        assert again["document"] == kept["document"]
        assert (afresh["cells"], afresh["state"]) == (files["cells"], files["state"])
    measurings.clear()
    # masks, a region and a decision at once
    save_mask(service, slide_id, 5, 1)
    some = cells_of(service, slide_id)["items"][10]
    decide(service, slide_id, {"x": some["x"], "y": some["y"], "action": "exclude"})
    draw(service, slide_id, box(90, 60, 1000, 660), box(300, 300, 400, 400, "exclude"))
    assert 0 < sum(measurings) < whole
    kept, files = score_of(service, slide_id), files_of(service)
    again, afresh = from_scratch(service, slide_id)
    assert again["document"] == kept["document"]
    assert (afresh["cells"], afresh["state"]) == (files["cells"], files["state"])


def test_thresholds_and_decisions_write_no_block_of_cells(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = slide_with_tumour(service)
    put(service, slide_id)
    written: list[int] = []
    monkeypatch.setattr(checkpoint_module, "put_cells", lambda *_: written.append(1))
    own = cuts_of(score_of(service, slide_id))
    before = cells_of(service, slide_id)["items"]
    put(service, slide_id, thresholds=own | {"t_intense": own["t_intense"] + 0.2})
    after = cells_of(service, slide_id)["items"]
    changed = [a["measured"] != b["measured"] for a, b in zip(before, after, strict=True)]
    assert 0 < sum(changed) < len(changed)
    decide(service, slide_id, {"x": after[0]["x"], "y": after[0]["y"], "action": "exclude"})
    service.run_jobs(SCORE)
    assert score_of(service, slide_id)["document"]["excluded_cells"] == 1
    assert written == []


def test_what_another_version_of_the_code_kept_is_measured_anew(
    service: Service, measurings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = slide_with_tumour(service)
    put(service, slide_id)
    put(service, slide_id, gap="2+")
    assert len(measurings) == 1
    monkeypatch.setattr(document, "code_sha256", lambda: "0" * 64)
    put(service, slide_id, gap="1+")
    assert len(measurings) == 2


@pytest.mark.parametrize("number", [0, 1, 700])
def test_decisions_find_the_cell_that_a_search_of_all_would(number: int) -> None:
    rng = np.random.default_rng(number)
    x, y = rng.uniform(0, 400, (2, number)).round(1)
    decided = [Decision(*at, CellAction.EXCLUDE) for at in rng.uniform(0, 400, (900, 2)).round(1)]
    decided += [Decision(a, b, CellAction.EXCLUDE) for a, b in zip(x, y, strict=True)]
    found = nearest(x, y, 0.5, decided)
    for each, cell in zip(decided, found, strict=True):
        away = np.hypot(x - each.x, y - each.y) * 0.5
        at = int(away.argmin()) if number else None
        assert cell == (at if number and away[at] <= REACH_UM else None)


def flags_of(document: dict[str, Any]) -> set[str]:
    return {each["code"] for each in document["flags"]}


def test_what_is_said_of_the_staining_is_followed_kept_and_taken_over_by_reports(
    service: Service,
) -> None:
    slide_id = slide_with_tumour(service)
    put(service, slide_id, cytoplasm_obscures=True)
    found = score_of(service, slide_id)
    assert (found["cytoplasm_obscures"], found["ish"]) == (True, None)
    assert "cytoplasm_obscures" in flags_of(found["document"])
    url = f"/slides/{slide_id}/score"
    wrong = service.client.put(url, json={"ish": {**ISH, "group": 5}})
    assert code(wrong) == (422, "ish_contradicts")
    wrong = service.client.put(url, json={"ish": {**ISH, "ratio": "4,1"}})
    said = "A ratio is a number above 0 and at most 1000, such as 2.15."
    assert wrong.json()["errors"] == [{"where": "body.ish.ratio", "message": said}]
    before = files_of(service)
    put(service, slide_id, ish=ISH)
    assert files_of(service)["cells"] == before["cells"], "nothing is measured again"
    save_mask(service, slide_id, 5, 1)
    service.run_jobs(SCORE)
    found = score_of(service, slide_id)
    entered = found["ish"]
    assert {name: entered[name] for name in ISH} == ISH
    assert found["cytoplasm_obscures"], "what is not said anew stays"
    assert found["score"] == found["document"]["score"], "nothing is concluded from it"

    report = report_of(service, computed(service, slide_id))
    assert report["ish"] == entered
    assert "cytoplasm_obscures" in flags_of(report["document"])
    other = {"cytoplasm_obscures": False, "antibody": "4B5"}
    own = report_of(
        service, computed(service, slide_id, assay=other, ish={**ISH, "read_by": "R. Adeyemi"})
    )
    assert own["ish"]["read_by"] == "R. Adeyemi"
    assert "cytoplasm_obscures" not in flags_of(own["document"])

    # a version that amends has what was entered last
    signed = sign(pathologist(service), own["id"]).json()
    put(service, slide_id, ish={**ISH, "read_by": "M. Ito", "cells": 40}, cytoplasm_obscures=False)
    later = dict(score_of(service, slide_id)["ish"])
    assert later["entered_at"] >= signed["ish"]["entered_at"]
    begun = service.client.post(f"/reports/{own['id']}/amend", json={"reason": "more nuclei"})
    service.run_jobs(REPORT)
    amended = report_of(service, begun.json()["report_id"])
    assert (amended["ish"], amended["assay"]) == (later, other)
    put(service, slide_id, ish=None)
    assert score_of(service, slide_id)["ish"] is None
    assert "cytoplasm_obscures" not in flags_of(score_of(service, slide_id)["document"])


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_0_plus_is_printed_as_0_where_the_protocol_has_it(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    put(service, slide_id)
    own = cuts_of(score_of(service, slide_id))
    intensities = sorted(each["intensity"] for each in cells_of(service, slide_id)["items"])
    # as many cells count as stained as make a 0+
    faint = intensities[-(len(intensities) // 20)]
    cuts = {"t_faint": faint, "t_weak": 3.7, "t_moderate": 3.8, "t_intense": 3.9}
    put(service, slide_id, thresholds=own | cuts)
    before = score_of(service, slide_id)
    assert (before["score"], before["printed_score"]) == ("0+", "0+")
    put(service, slide_id, merge_zero_plus=True)
    merged = score_of(service, slide_id)
    assert (merged["score"], merged["printed_score"], merged["previous_score"]) == ("0+", "0", "0+")
    assert merged["document"]["counts"] == before["document"]["counts"]
    put(service, slide_id, protocol="hercep_gastric_resection")
    assert not score_of(service, slide_id)["merge_zero_plus"], "the stomach has no 0+"
    refused = service.client.put(f"/slides/{slide_id}/score", json={"merge_zero_plus": True})
    assert code(refused) == (422, "no_zero_plus")
    refused = service.client.put(f"/slides/{slide_id}/score", json={"gap": "2+"})
    assert code(refused) == (422, "no_gap")
