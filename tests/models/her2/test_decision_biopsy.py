"""The gastric biopsy's rule of five clustered cells against the second formulation."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.her2.classes import CLASSES, COMPLETE, INDEX, INTENSITY_OF, SCORES
from models.her2.decision import decide
from models.her2.tile_counts import tabulate
from tests.models.her2.guideline import gastric_biopsy
from tests.models.her2.test_decision import BIOPSY

TILE_UM = 250.0
STEPS = ((1, 0), (0, 19), (20, 0), (12, 16), (21, 0), (13, 16), (0, 40))
"""From cell to cell, µm: within reach, at its very end, just beyond and far."""


def decided(cells, order=None):
    """The program's answer for cells (class name, x, y), counted tile by tile."""
    places = np.array([(x, y) for _, x, y in cells], float)
    label = np.array([INDEX[name] for name, _, _ in cells], np.uint8)
    if order is not None:
        places, label = places[order], label[order]
    tiles = tabulate(places, label, side_um=TILE_UM, protocol=BIOPSY)
    return decide(
        tiles.counts.sum(axis=0), BIOPSY, clustered=tiles.clustered.sum(axis=0, dtype=np.int64)
    )


def negative(n):
    """Cells without stain, close together: they neither count nor carry a chain on."""
    return [("N", 5 * (number % 200), -2000 - 5 * (number // 200)) for number in range(n)]


def row(classes, step=(20, 0), *, x=0, y=0):
    """Cells in a row, a step apart; "" leaves a place empty."""
    return [(name, x + step[0] * at, y + step[1] * at) for at, name in enumerate(classes) if name]


@pytest.mark.parametrize("n", [0, 2000])
@pytest.mark.parametrize("step", STEPS)
def test_every_number_of_cells_about_five_in_every_class(n, step):
    for name, k in product(CLASSES[1:], range(8)):
        cells = row([name] * k, step) + negative(max(n, 100))
        assert [decided(cells).score] == gastric_biopsy(cells), (name, k)
    assert {decided(row(["IC"] * k) + negative(2000)).score for k in (4, 5)} == {"0", "3+"}


@pytest.mark.parametrize("joined", [20, 21])
def test_every_mixture_of_levels_joined_and_apart(joined):
    numbers = (0, 1, 4, 5, 6)
    for strong, middle, faint in product(numbers, repeat=3):
        for names in (("IC", "WP", "FP"), ("IP", "MC", "FC")):
            parts = [[name] * k for name, k in zip(names, (strong, middle, faint), strict=True)]
            cells, x = [], 0
            for part in parts:
                cells += row(part, x=x)
                x = cells[-1][1] + joined if cells else 0
            cells += negative(200)
            assert [decided(cells).score] == gastric_biopsy(cells), (names, strong, middle, faint)


def test_whatever_order_the_classes_stand_in():
    # a weaker cell amid strong ones breaks their chain, and carries the lower level's on
    seen = set()
    for classes in product(("IC", "WC", "FP", ""), repeat=6):
        cells = [*row(classes), *negative(100)]
        score = decided(cells).score
        assert [score] == gastric_biopsy(cells), classes
        seen.add(score)
    assert seen == {"0", "1+", "2+", "3+"}


@st.composite
def biopsies(draw):
    """Rows of cells, some in reach of each other, over many tiles, amid negative ones."""
    classes = st.sampled_from([*CLASSES, "IC", "IP", "WC", ""])
    cells = []
    y = 0
    for names in draw(st.lists(st.lists(classes, max_size=9), min_size=1, max_size=5)):
        shift = draw(st.integers(0, 45))
        cells += row(names, draw(st.sampled_from(STEPS)), x=230 + shift, y=y)
        y += draw(st.sampled_from((1, 12, 16, 20, 21, 300)))
    rest = draw(st.integers(100, 400))
    return cells + [("N", 5 * at, 5000) for at in range(rest)]


@settings(max_examples=400, deadline=None)
@given(biopsies(), st.randoms(use_true_random=False))
def test_any_biopsy_agrees_with_the_second_formulation(cells, random):
    order = list(range(len(cells)))
    random.shuffle(order)
    verdict = decided(cells)
    assert [verdict.score] == gastric_biopsy(cells)
    assert decided(cells, order) == verdict, "whatever order the cells come in"


@settings(max_examples=200, deadline=None)
@given(biopsies(), st.data())
def test_a_cell_that_stains_more_never_lowers_a_biopsy(cells, data):
    at = data.draw(st.integers(0, len(cells) - 1))
    before = INDEX[cells[at][0]]
    higher = [
        name
        for column, name in enumerate(CLASSES)
        if INTENSITY_OF[column] >= INTENSITY_OF[before] and COMPLETE[column] >= COMPLETE[before]
    ]
    after = list(cells)
    after[at] = (data.draw(st.sampled_from(higher)), *cells[at][1:])
    assert SCORES.index(decided(after).score) >= SCORES.index(decided(cells).score)
