import numpy as np
import pytest

from models.her2.protocols import load
from models.her2.tile_counts import TileCounts, tabulate

BREAST = load("asco_cap_2023_breast")


def test_every_cell_is_counted_once_in_the_tile_that_holds_it():
    rng = np.random.default_rng(3)
    points = rng.random((2000, 2)) * [1500, 700]
    label = rng.integers(0, 9, 2000).astype(np.uint8)
    tiles = tabulate(points, label, side_um=100, protocol=BREAST)
    assert tiles.counts.sum(axis=0).tolist() == np.bincount(label, minlength=9).tolist()
    for (x, y), counts in zip(tiles.origin_um, tiles.counts, strict=True):
        inside = ((points >= [x, y]) & (points < [x + 100, y + 100])).all(axis=1)
        assert np.bincount(label[inside], minlength=9).tolist() == counts.tolist()


def test_a_cell_on_the_border_belongs_to_the_tile_that_begins_there():
    points = np.array([[99.9, 0.0], [100.0, 0.0], [100.0, 100.0]])
    tiles = tabulate(points, np.array([0, 8, 8], np.uint8), side_um=100, protocol=BREAST)
    assert tiles.origin_um.tolist() == [[0, 0], [100, 0], [100, 100]]
    assert tiles.counts[:, [0, 8]].tolist() == [[1, 0], [0, 1], [0, 1]]


def test_sums_of_what_the_cells_know():
    points = np.array([[10.0, 10], [20, 20], [210, 10]])
    tiles = tabulate(
        points,
        np.array([0, 8, 3], np.uint8),
        side_um=100,
        protocol=load("hercep_gastric_biopsy"),
        intensity=np.array([0.05, 0.7, 0.3]),
        contour_um=np.array([10.0, 40, 20]),
        reviewed_um=np.array([0.0, 10, 20]),
        edited=np.array([True, True, False]),
    )
    assert tiles.od_sum.tolist() == [0.7, 0.3]
    assert tiles.contour_um.tolist() == [50, 20]
    assert tiles.reviewed_um.tolist() == [10, 20]
    assert tiles.edited.tolist() == [2, 0]
    assert tiles.clustered.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert tiles.intense_clustered.tolist() == [0, 0]


def test_a_cluster_across_tiles_is_one_cluster():
    points = np.stack([np.arange(6) * 15.0 + 60, np.full(6, 5.0)], axis=1)
    tiles = tabulate(
        points, np.full(6, 8, np.uint8), side_um=100, protocol=load("hercep_gastric_biopsy")
    )
    assert tiles.clustered.tolist() == [[3, 3, 3], [3, 3, 3]]


def test_no_cells_are_no_tiles():
    tiles = tabulate(np.zeros((0, 2)), np.zeros(0, np.uint8), side_um=100, protocol=BREAST)
    assert (len(tiles), tiles.counts.shape) == (0, (0, 9))


def test_order_drops_empty_tiles_and_any_order_is_one():
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 9, (40, 9)).astype(np.int32)
    counts[5] = 0
    origin = rng.permutation(40)[:, None] * [100.0, 0.0]
    tiles = TileCounts(counts, origin, 100.0, edited=counts[:, 1])
    shuffled = tiles.take(rng.permutation(40))
    assert len(tiles.in_order()) == 39
    for name in ("counts", "origin_um", "edited"):
        one, two = getattr(tiles.in_order(), name), getattr(shuffled.in_order(), name)
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "wrong",
    [
        {"counts": np.zeros((3, 8), np.int32)},
        {"counts": np.zeros((3, 9))},
        {"counts": np.full((3, 9), -1, np.int32)},
        {"origin_um": np.zeros((2, 2))},
        {"side_um": 0.0},
        {"edited": np.zeros(2, np.int32)},
    ],
)
def test_a_table_that_does_not_fit_is_refused(wrong):
    right = {"counts": np.zeros((3, 9), np.int32), "origin_um": np.zeros((3, 2)), "side_um": 1.0}
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        TileCounts(**{**right, **wrong})
