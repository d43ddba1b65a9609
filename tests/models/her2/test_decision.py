"""The decision table, whole: her2.md §5 row by row, then grids around each cut, then at random."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.her2.classes import CLASSES, COMPLETE, INTENSITY_OF, NOT_ASSESSABLE, SCORES
from models.her2.decision import decide, needed, rows
from models.her2.flags import FATAL
from models.her2.protocols import Protocol, ProtocolError, load, names
from tests.models.her2.guideline import Breast, gastric_resection

GAPS = ("0+", "1+", "2+")
BREAST = {gap: load("asco_cap_2023_breast", gap=gap) for gap in GAPS}
RESECTION = load("hercep_gastric_resection")
BIOPSY = load("hercep_gastric_biopsy")
SIZES = (100, 999, 1000, 12345)


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


def around(n):
    """Numbers of cells on both sides of every cut of n cells."""
    tenth, percent = n // 10, n // 100
    near = {0, 4, 5, percent - 1, percent, percent + 1, tenth // 2, tenth - 1, tenth, tenth + 1}
    return sorted(k for k in near if k >= 0)


@pytest.mark.parametrize("n", SIZES)
def test_grid_around_every_cut_agrees_with_the_second_formulation(n):
    grid = [four for four in product(around(n), repeat=4) if sum(four) <= n]
    counts = np.zeros((len(grid), len(CLASSES)), np.int64)
    columns = [CLASSES.index(name) for name in ("IC", "WC", "MP", "FP")]
    counts[:, columns] = grid
    counts[:, 0] = n - counts.sum(axis=1)
    for gap, protocol in BREAST.items():
        table = protocol.table
        found = [table[row].score for row in rows(counts, protocol)]
        for (ic, wc, mp, fp), cells, score in zip(grid, counts, found, strict=True):
            named = {"N": int(cells[0]), "IC": ic, "WC": wc, "MP": mp, "FP": fp}
            assert Breast(named, gap).says() == [score], (gap, named)
    table = RESECTION.table
    for (ic, wc, mp, fp), row in zip(grid, rows(counts, RESECTION), strict=True):
        named = {"N": n - ic - wc - mp - fp, "IC": ic, "WC": wc, "MP": mp, "FP": fp}
        assert gastric_resection(named) == [table[row].score], named


@st.composite
def slides(draw, smallest=100):
    """Nine counts whose sum is at least `smallest`, often with shares close to 1 % and 10 %."""
    sizes = [size for size in SIZES if size >= smallest]
    n = draw(st.one_of(st.sampled_from(sizes), st.integers(smallest, 20_000)))
    near = st.sampled_from(around(n))
    left, counts = n, [0] * len(CLASSES)
    for column in draw(st.permutations(range(1, len(CLASSES)))):
        counts[column] = min(left, draw(st.one_of(st.just(0), near, st.integers(0, n))))
        left -= counts[column]
    counts[0] = left
    return counts


@settings(max_examples=300, deadline=None)
@given(slides(), st.sampled_from(GAPS))
def test_all_nine_classes_agree_with_the_second_formulation(counts, gap):
    cells = dict(zip(CLASSES, counts, strict=True))
    assert [decide(counts, BREAST[gap]).score] == Breast(cells, gap).says()
    assert [decide(counts, RESECTION).score] == gastric_resection(cells)


@settings(max_examples=200, deadline=None)
@given(slides(), st.sampled_from([*BREAST.values(), RESECTION]), st.data())
def test_more_intense_or_more_complete_is_never_scored_lower(counts, protocol, data):
    before = SCORES.index(decide(counts, protocol).score)
    held = [column for column, cells in enumerate(counts) if cells]
    source = data.draw(st.sampled_from(held))
    higher = [
        column
        for column in range(len(CLASSES))
        if INTENSITY_OF[column] >= INTENSITY_OF[source] and COMPLETE[column] >= COMPLETE[source]
    ]
    moved = data.draw(st.integers(1, counts[source]))
    after = list(counts)
    after[source] -= moved
    after[data.draw(st.sampled_from(higher))] += moved
    assert SCORES.index(decide(after, protocol).score) >= before


@pytest.mark.parametrize(
    "protocol", [*BREAST.values(), RESECTION], ids=["0+", "1+", "2+", "stomach"]
)
def test_no_single_cell_that_rises_lowers_a_score_of_20_000(protocol):
    rng = np.random.default_rng(17)
    n = rng.choice([100, 101, 110, 200, 500, 999], 20_000)
    shares = rng.dirichlet(np.array([20, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]), 20_000)
    counts = rng.multinomial(n, shares)
    order = np.array([SCORES.index(row.score) for row in protocol.table])
    before = order[rows(counts, protocol)]
    moves = [
        (low, high)
        for low, high in product(range(len(CLASSES)), repeat=2)
        if low != high
        and INTENSITY_OF[high] >= INTENSITY_OF[low]
        and COMPLETE[high] >= COMPLETE[low]
    ]
    assert len(moves) == 8 + 7 + 3 + 5 + 2 + 3 + 1 + 1
    for low, high in moves:
        after = counts.copy()
        after[:, low] -= 1
        after[:, high] += 1
        possible = after[:, low] >= 0
        assert (order[rows(after, protocol)] >= before)[possible].all(), (low, high)


@settings(max_examples=100, deadline=None)
@given(slides(500), st.integers(2, 9), st.sampled_from([*BREAST.values(), RESECTION]))
def test_the_same_shares_of_more_cells_give_the_same_score(counts, times, protocol):
    # from 500 cells on five cells are no more than 1 %, so the floor is a share too
    assert (
        decide(counts, protocol).score == decide([times * each for each in counts], protocol).score
    )


@pytest.mark.parametrize("n", [*range(100, 131), *SIZES])
def test_the_cut_is_exact_for_every_number_of_cells(n):
    at = n // 10
    breast = [decide(vector({"N": n - k, "IC": k}), BREAST["1+"]).score for k in (at, at + 1)]
    assert breast == ["2+", "3+"]
    up = -(-n // 10)
    gastric = [decide(vector({"N": n - k, "IC": k}), RESECTION).score for k in (up - 1, up)]
    assert gastric == ["0", "3+"]


@settings(max_examples=150, deadline=None)
@given(slides())
def test_gap_policies_differ_only_in_the_hole(counts):
    verdicts = {gap: decide(counts, protocol) for gap, protocol in BREAST.items()}
    if len({verdict.score for verdict in verdicts.values()}) > 1:
        assert any(verdict.reason == "gap_pattern" for verdict in verdicts.values())
    for gap, verdict in verdicts.items():
        assert (verdict.reason == "gap_pattern") == ("gap_pattern" in flags(verdict))
        assert verdict.reason != "gap_pattern" or verdict.score == gap


@settings(max_examples=150, deadline=None)
@given(slides(), slides())
def test_two_regions_of_one_score_do_not_fall_below_it_when_merged(one, two):
    # a share of the whole lies between the shares of its parts; without a floor by number of
    # cells, and for a cumulative table, so does the score
    scores = [SCORES.index(decide(counts, RESECTION).score) for counts in (one, two)]
    both = SCORES.index(decide([a + b for a, b in zip(one, two, strict=True)], RESECTION).score)
    assert min(scores) <= both <= max(scores)


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
    question = next(each for each in among_faint.flags if each.code == "below_detection_limit")
    assert question.detail.startswith("9 of 1000 cells show intense complete staining")
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


@settings(max_examples=60, deadline=None)
@given(slides(), st.sampled_from([*BREAST.values(), RESECTION]))
def test_needed_is_the_least_number_that_holds(counts, protocol: Protocol):
    total = sum(counts)
    for row in protocol.table:
        if row.when in {"over", "seen"}:
            least = int(needed(row, np.array([total]), protocol)[0])
            only = replace(
                protocol, rows=(replace(row, gap=()), protocol.rows[-1]), gap=None, gap_choices=()
            )
            column = protocol.columns(row)[0]
            for cells, index in ((least, 0), (least - 1, 1)):
                table = np.zeros((1, len(CLASSES)), np.int64)
                table[0, column], table[0, 0] = cells, total - cells
                assert rows(table, only)[0] == index
