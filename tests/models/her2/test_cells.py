"""Columns of cells: kept in order, saved whole, counted by tile."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import shapely

from models.her2.cells import OVERRIDDEN, Cells, classify, column_names, dtype_of, shape_of
from models.her2.classes import CLASSES
from models.her2.pixels import Regions
from models.her2.protocols import load

PROTOCOL = load("asco_cap_2023_breast")


@dataclass(frozen=True)
class Steps:
    t_faint: float = 0.10
    t_weak: float = 0.20
    t_moderate: float = 0.40
    t_intense: float = 0.60
    c_any: float = 0.15
    c_full: float = 0.85


def some(n=50, seed=0, mpp=0.25, side_px=4000):
    g = np.random.default_rng(seed)
    columns = {
        name: g.uniform(0, 1, (n, *shape_of(name))).astype(dtype_of(name))
        for name in column_names()
    }
    columns["x"] = g.uniform(0, side_px, n)
    columns["y"] = g.uniform(0, side_px, n)
    columns["label"] = g.integers(0, 9, n).astype(np.uint8)
    columns["flags"] = np.zeros(n, np.uint16)
    return Cells(mpp=mpp, **columns)


def test_the_nine_classes_at_their_cuts():
    full = np.array([0.85, 0.849, 0.149, 1.0], np.float32)
    for level, od in enumerate([0.05, 0.10, 0.20, 0.40, 0.60]):
        names = [CLASSES[i] for i in classify(full, np.full(4, od, np.float64), Steps())]
        letter = "NFWMI"[level]
        wanted = ["N"] * 4 if level == 0 else [f"{letter}C", f"{letter}P", "N", f"{letter}C"]
        assert names == wanted


def test_saved_and_loaded_cells_are_the_same(tmp_path):
    cells = some()
    cells.save(tmp_path / "cells.npz")
    again = Cells.load(tmp_path / "cells.npz")
    assert again.mpp == cells.mpp
    for name in column_names():
        np.testing.assert_array_equal(getattr(again, name), getattr(cells, name))
        assert getattr(again, name).dtype == dtype_of(name)


def test_a_file_without_columns_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", mpp=0.25, x=np.zeros(3))
    with pytest.raises(ValueError, match="missing"):
        Cells.load(tmp_path / "other.npz")


def test_columns_of_other_lengths_or_types_are_refused():
    cells = some()
    with pytest.raises(ValueError, match="entries"):
        replace(cells, intensity=cells.intensity[:-1])
    with pytest.raises(ValueError, match="float64"):
        replace(cells, x=cells.x.astype(np.float32))


def test_tiles_count_every_cell_once_and_where_it_lies():
    cells = some(500)
    tiles = cells.tile_counts(PROTOCOL, side_um=150.0)
    assert tiles.counts.sum() == 500
    np.testing.assert_array_equal(tiles.counts.sum(axis=0), cells.counts)
    np.testing.assert_allclose(tiles.contour_um.sum(), cells.contour_um.sum(), rtol=1e-6)
    for origin, counts in zip(tiles.origin_um, tiles.counts, strict=True):
        inside = (cells.x * 0.25 >= origin[0]) & (cells.x * 0.25 < origin[0] + 150)
        inside &= (cells.y * 0.25 >= origin[1]) & (cells.y * 0.25 < origin[1] + 150)
        np.testing.assert_array_equal(np.bincount(cells.label[inside], minlength=9), counts)


def test_tiles_do_not_depend_on_the_order_of_cells():
    cells = some(300)
    mixed = cells.take(np.random.default_rng(1).permutation(300))
    np.testing.assert_array_equal(
        cells.tile_counts(PROTOCOL).counts, mixed.tile_counts(PROTOCOL).counts
    )
    np.testing.assert_array_equal(cells.in_order().x, mixed.in_order().x)


def test_a_tiles_area_is_the_tumour_in_it():
    cells = some(400, side_px=1200)
    half = Regions.of([shapely.box(0, 0, 600, 1200)])
    tiles = cells.tile_counts(PROTOCOL, side_um=150.0, regions=half)
    assert len(tiles) == 4
    left = tiles.origin_um[:, 0] == 0
    np.testing.assert_allclose(tiles.area_um2, np.where(left, 150.0**2, 0))


def test_no_cells_have_no_tiles():
    tiles = Cells.empty(0.25).tile_counts(PROTOCOL)
    assert tiles.counts.shape == (0, 9)
    assert tiles.origin_um.shape == (0, 2)
    assert len(Cells.join([], 0.25)) == 0


def test_a_persons_class_outlives_a_change_of_thresholds():
    cells = replace(
        some(4),
        unshared=np.ones(4, np.float32),
        intensity=np.full(4, 0.5, np.float32),
        label=np.array([0, 0, 8, 8], np.uint8),
        flags=np.array([0, OVERRIDDEN, 0, OVERRIDDEN], np.uint16),
    )
    assert [CLASSES[i] for i in cells.relabelled(Steps()).label] == ["MC", "N", "MC", "IC"]
    assert [CLASSES[i] for i in cells.relabelled(Steps(t_moderate=0.55)).label] == [
        "WC",
        "N",
        "WC",
        "IC",
    ]
