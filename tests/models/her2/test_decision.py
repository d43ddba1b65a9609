"""The decision table of her2.md §5 row by row, and what bars or limits an answer."""

import pytest

from models.her2.classes import CLASSES, NOT_ASSESSABLE
from models.her2.decision import decide
from models.her2.flags import FATAL
from models.her2.protocols import ProtocolError, load, names

GAPS = ("0+", "1+", "2+")
BREAST = {gap: load("asco_cap_2023_breast", gap=gap) for gap in GAPS}
RESECTION = load("hercep_gastric_resection")
BIOPSY = load("hercep_gastric_biopsy")


def of_1000(**cells):
    return {"N": 1000 - sum(cells.values()), **cells}


def vector(cells):
    return [cells.get(name, 0) for name in CLASSES]


def flags(verdict):
    return {flag.code for flag in verdict.flags}


# cells, breast with gap 0+ / 1+ / 2+, gastric resection
TABLE = [
    (of_1000(), ("0", "0", "0"), "0"),
    (of_1000(FP=5), ("0", "0", "0"), "0"),
    (of_1000(FP=10), ("0+", "0+", "0+"), "0"),
    (of_1000(FP=90), ("0+", "0+", "0+"), "0"),
    (of_1000(FP=100), ("0+", "0+", "0+"), "1+"),
    (of_1000(FP=101), ("1+", "1+", "1+"), "1+"),
    (of_1000(FP=1000), ("1+", "1+", "1+"), "1+"),
    (of_1000(WC=100), ("0+", "1+", "2+"), "2+"),
    (of_1000(WC=101), ("2+", "2+", "2+"), "2+"),
    (of_1000(WC=60, FP=60), ("1+", "1+", "2+"), "1+"),
    (of_1000(MP=101), ("2+", "2+", "2+"), "2+"),
    (of_1000(IP=101), ("2+", "2+", "2+"), "3+"),
    (of_1000(IC=10), ("2+", "2+", "2+"), "0"),
    (of_1000(IC=9), ("0", "0", "0"), "0"),
    (of_1000(IC=100), ("2+", "2+", "2+"), "3+"),
    (of_1000(IC=101), ("3+", "3+", "3+"), "3+"),
    # not in the design's table: weak lateral staining is 2+ in the stomach, faint complete is not
    (of_1000(WP=101), ("1+", "1+", "1+"), "2+"),
    (of_1000(FC=101), ("1+", "1+", "1+"), "1+"),
    ({"IC": 99}, (NOT_ASSESSABLE,) * 3, NOT_ASSESSABLE),
]


@pytest.mark.parametrize(("cells", "breast", "resection"), TABLE)
def test_table_of_the_design(cells, breast, resection):
    assert tuple(decide(vector(cells), BREAST[gap]).score for gap in GAPS) == breast
    assert decide(vector(cells), RESECTION).score == resection


@pytest.mark.parametrize(
    ("clustered", "score", "reason"),
    [
        ((5, 5, 5), "3+", "intense_cluster"),
        ((4, 5, 9), "2+", "weak_moderate_cluster"),
        ((0, 4, 5), "1+", "faint_cluster"),
        ((0, 0, 0), "0", "staining_without_cluster"),
    ],
)
def test_five_cells_of_a_biopsy_decide_whatever_the_percentage(clustered, score, reason):
    verdict = decide(vector({"N": 2000, "IC": 5, "WC": 2, "FP": 3}), BIOPSY, clustered=clustered)
    assert (verdict.score, verdict.reason) == (score, reason)


def test_a_biopsy_without_its_clusters_is_refused():
    with pytest.raises(ProtocolError, match="clusters"):
        decide(vector({"N": 2000}), BIOPSY)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (of_1000(IC=101), "intense_complete_gt10"),
        (of_1000(IC=60, WC=41), "weak_moderate_complete_gt10"),
        (of_1000(WC=60, MP=41), "moderate_intense_incomplete_gt10"),
        (of_1000(IC=100), "intense_complete_le10"),
        (of_1000(WP=101), "faint_incomplete_gt10"),
        (of_1000(FC=101), "faint_incomplete_gt10"),
        (of_1000(MP=100), "gap_pattern"),
        (of_1000(FP=100), "faint_incomplete_le10"),
        (of_1000(FP=9), "below_detection_limit"),
        (of_1000(), "no_staining"),
    ],
)
def test_every_row_of_the_breast_table_can_be_the_reason(cells, reason):
    assert decide(vector(cells), BREAST["1+"]).reason == reason


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("n", [0, 1, 99, 100, 101])
def test_not_assessable_exactly_below_the_least_number_of_cells(name, n):
    clustered = (n, n, n) if name == BIOPSY.name else None
    verdict = decide(vector({"IC": n}), load(name), clustered=clustered)
    assert (verdict.score == NOT_ASSESSABLE) == (n < 100)
    assert (verdict.reason == "too_few_cells") == (n < 100)


@pytest.mark.parametrize("code", FATAL)
@pytest.mark.parametrize("protocol", [BREAST["1+"], RESECTION])
def test_a_fatal_flag_leaves_no_score_and_is_the_reason(code, protocol):
    verdict = decide(vector(of_1000(IC=500)), protocol, barred=[code])
    assert (verdict.score, verdict.reason) == (NOT_ASSESSABLE, code)
    detail = next(flag.detail for flag in verdict.flags if flag.code == code)
    assert detail


def test_no_region_is_named_before_too_few_cells():
    assert decide([0] * 9, BREAST["1+"], barred=["no_tumour_region"]).reason == "no_tumour_region"


def test_too_coarse_a_slide_leaves_no_verdict_below_2():
    low = decide(vector(of_1000(FP=200)), BREAST["1+"], barred=["resolution"])
    assert (low.score, low.reason, low.among) == (NOT_ASSESSABLE, "resolution", ("0", "0+", "1+"))
    assert low.printed(BREAST["1+"]) == "0/0+/1+ not separated"
    high = decide(vector(of_1000(IC=200)), BREAST["1+"], barred=["resolution"])
    assert high.score == "3+"
    assert "resolution" in flags(high)


def test_equivocal_always_asks_for_ish_and_positive_never():
    for cells, *_ in TABLE:
        for protocol in (*BREAST.values(), RESECTION):
            verdict = decide(vector(cells), protocol)
            assert verdict.asks_for_ish(protocol) == (verdict.score == "2+")


def test_few_stained_cells_raise_a_question():
    assert "below_detection_limit" in flags(decide(vector(of_1000(FP=9)), BREAST["1+"]))
    among_faint = decide(vector(of_1000(IC=9, FP=300)), BREAST["1+"])
    assert among_faint.score == "1+"
    question = next(each for each in among_faint.flags if each.code == "intense_below_detection")
    assert question.detail.startswith("9 of 1000 cells show intense complete staining")
    # 309 of 1000 cells are stained: nothing may say that the staining is below the limit
    assert "below_detection_limit" not in flags(among_faint)
    assert "below_detection_limit" not in flags(decide(vector(of_1000(FP=10)), BREAST["1+"]))
    gastric = decide(vector(of_1000(IC=99)), RESECTION)
    assert gastric.score == "0"
    assert "intense_below_cut" in flags(gastric)


def test_without_calibration_and_with_few_cells_it_says_so():
    verdict = decide(vector({"N": 499}), BREAST["1+"])
    assert flags(verdict) == {"uncalibrated", "cells_100_500"}
    assert flags(decide(vector({"N": 500}), BREAST["1+"])) == {"uncalibrated"}


def test_printed_score_may_merge_0_plus_and_the_stored_one_does_not():
    merged = load("asco_cap_2023_breast", merge_zero_plus=True)
    verdict = decide(vector(of_1000(FP=50)), merged)
    assert (verdict.score, verdict.printed(merged)) == ("0+", "0")
    assert verdict.printed(BREAST["1+"]) == "0+"


@pytest.mark.parametrize("counts", [[1] * 8, [0.5] * 9, [-1, *[200] * 8], [True] * 9, [[100] * 9]])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(ValueError, match="counts"):
        decide(counts, BREAST["1+"])


def test_an_unknown_flag_is_refused():
    with pytest.raises(ValueError, match="no such flags"):
        decide([100] * 9, BREAST["1+"], barred=["blurry"])
