import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.canonical import canonical
from models.her2.classes import CLASSES, NOT_ASSESSABLE, SCORES
from models.her2.decision import decide
from models.her2.flags import Flag
from models.her2.protocols import Calibration, ProtocolError, load
from models.her2.slide_score import summarise
from models.her2.tile_counts import tabulate
from tests.models.her2.tables import IC, alike, table

BREAST = load("asco_cap_2023_breast")
BIOPSY = load("hercep_gastric_biopsy")


def codes(document):
    return [flag["code"] for flag in document["flags"]]


@st.composite
def many_tiles(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    tiles = draw(st.integers(2, 60))
    shares = rng.dirichlet(np.full(9, draw(st.sampled_from([0.1, 0.5, 2]))), tiles)
    return table(rng.multinomial(draw(st.integers(10, 90)), shares))


def test_document_says_what_the_counts_say():
    tiles = alike(50, 100, IC=0.04, WC=0.1, FP=0.2)
    document = summarise(tiles, BREAST, seed=1)
    assert document["schema"] == "membrana.her2/2"
    assert (document["score"], document["reason"]) == ("2+", "weak_moderate_complete_gt10")
    assert document["ish_required"]
    assert (document["cells"], document["tiles"]) == (5000, 50)
    assert document["counts"]["IC"] == 200
    assert document["percent"]["weak_moderate_complete"]["value"] == 10
    assert document["percent"]["stained"]["value"] == 34
    assert document["h_score"]["value"] == 4 * 3 + 10 + 20
    assert document["probability"]["2+"] == 1
    assert codes(document) == ["uncalibrated"]
    assert document["research_use_only"] == (
        "For Research Use Only. Not for use in diagnostic procedures."
    )
    protocol = document["protocol"]
    assert (protocol["name"], protocol["gap"], protocol["calibrated"]) == (
        "asco_cap_2023_breast", "1+", None,
    )  # fmt: skip


def test_distance_counts_the_cells_that_would_turn_each_test():
    tiles = alike(50, 100, IC=0.04, WC=0.1, FP=0.2)
    document = summarise(tiles, BREAST)
    counts = np.array(list(document["counts"].values()))
    by_test = {each["test"]: each for each in document["distance"]}
    assert by_test["intense_complete_gt10"] == {
        "test": "intense_complete_gt10", "score": "3+", "percent_now": 4.0, "threshold": 10.0,
        "passed": False, "cells_now": 200, "cells_needed": 501, "cells_to_flip": 301,
    }  # fmt: skip
    assert by_test["weak_moderate_complete_gt10"]["cells_to_flip"] == 200
    assert by_test["intense_complete_le10"]["threshold"] == 1.0
    moved = counts.copy()
    moved[[0, IC]] += [-300, 300]
    assert decide(moved, BREAST).score == "2+"
    moved[[0, IC]] += [-1, 1]
    assert decide(moved, BREAST).score == "3+"


@settings(max_examples=40, deadline=None)
@given(many_tiles(), st.integers(0, 5))
def test_order_of_tiles_does_not_matter_and_the_same_input_gives_the_same_bytes(tiles, seed):
    rng = np.random.default_rng(seed)
    once = canonical(summarise(tiles, BREAST, seed=seed))
    assert canonical(summarise(tiles.take(rng.permutation(len(tiles))), BREAST, seed=seed)) == once
    assert json.loads(once)["score"] in (*SCORES, NOT_ASSESSABLE)


@settings(max_examples=40, deadline=None)
@given(many_tiles())
def test_intervals_hold_the_point_and_shares_add_up(tiles):
    document = summarise(tiles, BREAST)
    for each in document["percent"].values():
        assert 0 <= each["low"] <= each["value"] <= each["high"] <= 100
    h = document["h_score"]
    assert h["low"] <= h["value"] <= h["high"]
    total = sum(document["percent"][name]["value"] for name in CLASSES)
    assert total == pytest.approx(100, abs=1e-3)
    assert sum(document["probability"].values()) == pytest.approx(1)
    groups = ("intense_complete", "weak_moderate_complete", "moderate_intense_incomplete", "faint")
    stained = sum(document["percent"][name]["value"] for name in groups)
    assert stained == pytest.approx(document["percent"]["stained"]["value"], abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(many_tiles(), many_tiles())
def test_two_regions_together_are_the_sum_of_their_counts(one, two):
    both = replace(
        one,
        counts=np.concatenate([one.counts, two.counts]),
        origin_um=np.concatenate([one.origin_um, two.origin_um + 9000]),
    )
    document = summarise(both, BREAST)
    parts = [summarise(tiles, BREAST) for tiles in (one, two)]
    for name in CLASSES:
        assert document["counts"][name] == sum(part["counts"][name] for part in parts)
    assert (
        document["score"] == decide(one.counts.sum(axis=0) + two.counts.sum(axis=0), BREAST).score
    )


@pytest.mark.parametrize("protocol", [BREAST, BIOPSY])
def test_no_cells_are_not_assessable_and_nothing_is_a_silent_number(protocol):
    document = summarise(table(np.zeros((0, 9))), protocol)
    assert (document["score"], document["reason"]) == (NOT_ASSESSABLE, "too_few_cells")
    assert document["printed_score"] == NOT_ASSESSABLE
    assert document["percent"]["IC"] == {"value": None, "low": None, "high": None}
    assert document["h_score"]["value"] is None
    assert document["probability"][NOT_ASSESSABLE] == 1
    assert document["distance"] == []
    assert not document["ish_required"]
    assert "0 evaluable" in document["reason_text"]
    canonical(document)


def test_a_fatal_flag_bars_the_score_and_stands_first():
    flags = [Flag("white_point", "180"), Flag("control_failed", "Batch 7: negative.")]
    document = summarise(alike(50, 60, IC=0.5), BREAST, flags=flags)
    assert (document["score"], document["reason"]) == (NOT_ASSESSABLE, "control_failed")
    assert document["probability"][NOT_ASSESSABLE] == 1
    assert document["flags"][0] == {
        "code": "control_failed", "severity": "fatal", "detail": "Batch 7: negative.",
    }  # fmt: skip
    assert codes(document) == ["control_failed", "uncalibrated", "white_point"]


def test_a_coarse_slide_does_not_separate_the_low_categories():
    document = summarise(alike(50, 60, FP=0.2), BREAST, flags=[Flag("resolution", "0.5 µm/px")])
    assert document["score"] == NOT_ASSESSABLE
    assert document["printed_score"] == "0/0+/1+ not separated"
    assert document["among"] == ["0", "0+", "1+"]
    assert document["probability"][NOT_ASSESSABLE] == 1
    strong = summarise(alike(50, 60, IC=0.5), BREAST, flags=[Flag("resolution", "0.5 µm/px")])
    assert strong["score"] == "3+"


def test_what_was_reviewed_edited_and_measured():
    counts = alike(40, 50, IC=0.5).counts
    tiles = table(
        counts,
        contour_um=np.full(40, 200.0),
        reviewed_um=np.full(40, 50.0),
        edited=np.arange(40, dtype=np.int32),
        od_sum=counts[:, IC] * 0.7,
        cytoplasm_sum=counts[:, IC] * 0.2,
        width_sum=counts[:, IC] * 1.5,
        area_um2=np.full(40, 150.0**2),
        intense_clustered=counts[:, IC] // 3,
    )
    document = summarise(tiles, BREAST, connectivity=0.4)
    assert document["reviewed_share"] == 0.25
    assert document["edited_cells"] == sum(range(40))
    assert document["membrane_od"] == 0.7
    assert document["membrane_width_um"] == 1.5
    assert document["membrane_cytoplasm_ratio"] == 3.5
    clear = summarise(replace(tiles, cytoplasm_sum=np.zeros(40)), BREAST)
    assert clear["membrane_cytoplasm_ratio"] is None
    assert document["connectivity"] == 0.4
    assert "not_contiguous" in codes(document)
    assert "nuclei_density" not in codes(document)
    sparse = summarise(replace(tiles, area_um2=np.full(40, 1e6)), BREAST)
    assert "nuclei_density" in codes(sparse)
    together = summarise(replace(tiles, intense_clustered=counts[:, IC]), BREAST)
    assert "not_contiguous" not in codes(together)
    unknown = summarise(table(counts), BREAST)
    for name in (
        *("reviewed_share", "edited_cells", "membrane_od"),
        *("membrane_width_um", "membrane_cytoplasm_ratio"),
    ):
        assert unknown[name] is None


def test_a_score_0_says_how_much_of_it_a_person_has_looked_at():
    nothing = table(
        alike(40, 50).counts,
        contour_um=np.full(40, 1000.0),
        reviewed_um=np.zeros(40),
    )
    document = summarise(nothing, BREAST)
    assert (document["score"], document["reviewed_share"]) == ("0", 0.0)
    seen = summarise(replace(nothing, reviewed_um=np.full(40, 600.0)), BREAST)
    assert seen["reviewed_share"] == 0.6


def test_brown_cells_without_a_membrane_are_asked_about():
    tiles = table(alike(40, 50).counts, obscured=np.full(40, 5, np.int32))
    assert "cytoplasm_obscures" not in codes(summarise(tiles, BREAST))
    document = summarise(replace(tiles, obscured=np.full(40, 6, np.int32)), BREAST)
    [flag] = [each for each in document["flags"] if each["code"] == "cytoplasm_obscures"]
    assert "12 % of the cells" in flag["detail"]
    assert document["score"] == "0"


def test_heterogeneity_is_flagged_with_its_share():
    counts = np.zeros((100, 9), np.int32)
    counts[:30, IC] = 40
    counts[30:, 0] = 40
    document = summarise(table(counts), BREAST)
    assert document["heterogeneity"]["clustered"]
    flag = next(each for each in document["flags"] if each["code"] == "clustered_heterogeneity")
    assert "30.0 %" in flag["detail"]
    assert "score 0" in flag["detail"]


def test_a_calibration_is_named_and_silences_the_flag():
    lab = Calibration(on="2026-03-01", sha256="ab" * 32, thresholds={"t_faint": 0.09})
    document = summarise(alike(50, 60), load("asco_cap_2023_breast", calibration=lab))
    assert document["protocol"]["calibrated"] == {"on": "2026-03-01", "sha256": "ab" * 32}
    assert document["protocol"]["thresholds"]["t_faint"] == 0.09
    assert "uncalibrated" not in codes(document)


def test_a_biopsy_is_scored_by_its_clusters():
    rng = np.random.default_rng(11)
    negative = rng.random((2000, 2)) * 900
    strong = np.array([[1200.0, 300], [1212, 300], [1224, 300], [1212, 312], [1224, 312]])
    label = np.r_[np.zeros(2000), np.full(5, IC)].astype(np.uint8)
    tiles = tabulate(np.concatenate([negative, strong]), label, side_um=150, protocol=BIOPSY)
    document = summarise(tiles, BIOPSY)
    assert (document["score"], document["reason"]) == ("3+", "intense_cluster")
    assert document["percent"]["IC"]["value"] < 1
    assert document["distance"][0]["cells_to_flip"] == 1
    # the one tile that holds it may not be drawn
    assert document["probability"]["0"] == pytest.approx(np.exp(-1), abs=0.04)
    assert "borderline" in codes(document)
    scattered = negative[:5] * [1, 0] + [[0, 2000 + 100 * row] for row in range(5)]
    tiles = tabulate(np.concatenate([negative, scattered]), label, side_um=150, protocol=BIOPSY)
    assert summarise(tiles, BIOPSY)["score"] == "0"


def test_a_biopsy_without_clusters_is_refused():
    with pytest.raises(ProtocolError, match="clusters"):
        summarise(alike(50, 60), BIOPSY)


def test_canonical_bytes_refuse_what_json_cannot_say():
    with pytest.raises(ValueError, match="Out of range"):
        canonical({"value": float("nan")})


def test_one_tile_without_negative_cells_is_drawn_though_its_shares_round_to_over_one():
    counts = [0, 0, 0, 5, 449, 0, 0, 231, 0]
    assert np.sum(np.array(counts) / sum(counts)) > 1
    document = summarise(table([counts]), load("asco_cap_2023_breast"))
    assert document["probability"]["2+"] == 1.0
    assert document["percent"]["N"]["low"] == 0.0
