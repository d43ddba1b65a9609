"""The decision table against a second formulation: grids around each cut, then at random."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.her2.classes import CLASSES, COMPLETE, INTENSITY_OF, SCORES
from models.her2.decision import decide, needed, rows
from models.her2.protocols import Protocol
from tests.models.her2.guideline import Breast, gastric_resection
from tests.models.her2.test_decision import BREAST, GAPS, RESECTION, flags, vector

SIZES = (100, 999, 1000, 12345)


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
def slides(draw, smallest=100, often=SIZES):
    """Nine counts whose sum is at least `smallest`, often with shares close to 1 % and 10 %."""
    sizes = [size for size in often if size >= smallest]
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
