import numpy as np
import pytest

from models.her2.classes import CLASSES
from models.her2.heterogeneity import describe, h_scores, moran, neighbours
from models.her2.protocols import load
from models.her2.tile_counts import TileCounts

BREAST = load("asco_cap_2023_breast")
SIDE = 100.0


def board(width, height):
    rows, columns = np.divmod(np.arange(width * height), width)
    return np.stack([columns, rows], axis=1) * SIDE


def tiles(width, height, classes, cells=40):
    """A board whose tile k holds `cells` cells of the class classes[k]."""
    counts = np.zeros((width * height, len(CLASSES)), np.int32)
    counts[np.arange(width * height), [CLASSES.index(name) for name in classes]] = cells
    return TileCounts(counts, board(width, height), SIDE)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [({"N": 5}, 0), ({"FP": 5}, 100), ({"WC": 5}, 100), ({"MP": 5}, 200), ({"IC": 5}, 300),
     ({"N": 40, "FC": 10, "WP": 20, "MC": 20, "IP": 10}, 30 + 40 + 30)],
)  # fmt: skip
def test_h_score_by_hand(cells, expected):
    counts = np.array([cells.get(name, 0) for name in CLASSES])
    assert h_scores(counts) == expected


def test_queens_neighbours_of_a_board():
    pairs = neighbours(board(4, 3), SIDE)
    # sides: 3·3 + 4·2; corners: 2·(3·2)
    assert len(pairs) == 9 + 8 + 12
    assert len({frozenset(pair) for pair in pairs.tolist()}) == len(pairs)
    place = board(4, 3)
    assert np.abs(place[pairs[:, 0]] - place[pairs[:, 1]]).max() == SIDE


def test_the_ends_of_two_rows_are_no_neighbours():
    apart = np.array([[3, 0], [0, 1]]) * SIDE
    assert len(neighbours(apart, SIDE)) == 0


def test_neighbours_do_not_depend_on_where_the_grid_begins():
    place = board(4, 3)
    moved = neighbours(place + 12345.5, SIDE)
    np.testing.assert_array_equal(moved, neighbours(place, SIDE))


def test_moran_by_hand():
    # three in a row, 0 1 2: z = -1 0 1, pairs (0,1) and (1,2): products 0 -> I = 0
    line = board(3, 1)
    pairs = neighbours(line, SIDE)
    assert moran(np.array([0.0, 1, 2]), pairs) == pytest.approx(0)
    # 0 0 3 3: z = ±1.5, products 2.25 - 2.25 + 2.25 = 2.25, sum of squares 9, 4 tiles / 3 pairs
    pairs = neighbours(board(4, 1), SIDE)
    assert moran(np.array([0.0, 0, 3, 3]), pairs) == pytest.approx(4 / 3 * 2.25 / 9)


def test_moran_equals_its_formula_with_a_full_weight_matrix():
    rng = np.random.default_rng(2)
    place, values = board(6, 5), rng.random(30)
    gap = np.abs(place[:, None] - place[None]).max(axis=2)
    weights = ((gap > 0) & (gap <= SIDE)).astype(float)
    z = values - values.mean()
    expected = 30 / weights.sum() * (z @ weights @ z) / (z @ z)
    assert moran(values, neighbours(place, SIDE)) == pytest.approx(expected)


def test_moran_is_undefined_where_nothing_varies_or_touches():
    assert moran(np.ones(4), neighbours(board(4, 1), SIDE)) is None
    assert moran(np.array([1.0, 2]), np.zeros((0, 2), np.intp)) is None
    assert moran(np.zeros(0), np.zeros((0, 2), np.intp)) is None


def test_halves_are_alike_beside_each_other_and_a_chessboard_is_not():
    halves = describe(tiles(8, 8, (["IC"] * 4 + ["N"] * 4) * 8), BREAST)
    assert halves["moran"] > 0.6
    assert (halves["mean_h"], halves["sd_h"]) == (150, 150)
    rows, columns = np.divmod(np.arange(64), 8)
    chess = np.where((rows + columns) % 2, "IC", "N")
    assert describe(tiles(8, 8, chess), BREAST)["moran"] < 0.1


def test_a_population_of_a_tenth_of_a_square_millimetre_beside_negative_cells_is_clustered():
    ten = describe(tiles(10, 10, ["IC"] * 10 + ["N"] * 90), BREAST)
    assert (ten["clustered"], ten["share_3plus"], ten["rest_score"]) == (True, 10, "0")
    nine = describe(tiles(10, 10, ["IC"] * 9 + ["N"] * 91), BREAST)
    assert (nine["clustered"], nine["share_3plus"], nine["rest_score"]) == (False, None, None)


@pytest.mark.parametrize(("intense", "clustered"), [(20, False), (21, True)])
def test_a_population_is_more_than_half_intense_complete(intense, clustered):
    board_ = tiles(10, 10, ["IC"] * 20 + ["N"] * 80)
    board_.counts[:20, [0, 8]] = 40 - intense, intense
    assert describe(board_, BREAST)["clustered"] == clustered


def test_scattered_tiles_do_not_add_up_to_a_population():
    rows, columns = np.divmod(np.arange(100), 10)
    scattered = np.where((rows % 2 == 0) & (columns % 2 == 0), "IC", "N")
    assert (scattered == "IC").sum() == 25
    assert not describe(tiles(10, 10, scattered), BREAST)["clustered"]


def test_where_all_is_3_there_is_no_other_population():
    found = describe(tiles(6, 6, ["IC"] * 36), BREAST)
    assert (found["clustered"], found["share_3plus"]) == (False, 100)
    half = tiles(10, 10, ["IC"] * 50 + ["N"] * 50)
    half.counts[50:, [0, 8]] = 32, 8
    beside = describe(half, BREAST)
    assert (beside["share_3plus"], beside["rest_score"]) == (50, "3+")
    assert not beside["clustered"]


def test_map_scores_tiles_by_the_slides_rule_and_leaves_small_ones_open():
    four = tiles(2, 2, ["IC", "WC", "FP", "N"])
    counts = four.counts.copy()
    counts[3, 0] = 19
    found = describe(TileCounts(counts, four.origin_um, SIDE), BREAST)["map"]
    assert [tile["score"] for tile in found] == ["3+", "2+", "1+", None]
    assert [tile["h_score"] for tile in found] == [300, 100, 100, 0]
    assert [(tile["x_um"], tile["y_um"]) for tile in found][1:3] == [(100, 0), (0, 100)]
    assert [tile["cells"] for tile in found] == [40, 40, 40, 19]


def test_no_tiles_have_no_heterogeneity():
    none = describe(TileCounts(np.zeros((0, 9), np.int32), np.zeros((0, 2)), SIDE), BREAST)
    assert none == {
        "moran": None, "mean_h": None, "sd_h": None, "clustered": False, "share_3plus": None,
        "rest_score": None, "tile_um": SIDE, "map": [],
    }  # fmt: skip
