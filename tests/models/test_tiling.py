"""Tiles: where they lie, and that what they weigh adds up."""

import numpy as np
import pytest

from models.inference.windows import OF_A_PATCH
from models.prediction import PATCH_PX, at_once
from models.tiling import BLENDED, EDGE_TO_EDGE, Box, Layout, Tile

SIZES = [(1, 1), (256, 256), (300, 1072), (1024, 1025), (1073, 2100), (2049, 1120), (3072, 500)]
TILINGS = [BLENDED, EDGE_TO_EDGE, OF_A_PATCH]


def whole(layout):
    return Box(0, 0, layout.height, layout.width)


@pytest.mark.parametrize("tiling", TILINGS, ids=lambda tiling: tiling.name)
@pytest.mark.parametrize("size", SIZES)
def test_the_weights_of_each_pixel_are_just_one(size, tiling):
    """To the last bit: a vote of all is whole, whichever tile it is counted in."""
    layout = Layout(*size, tiling)
    total = np.zeros((layout.height, layout.width), np.float32)
    for tile in layout.touching(whole(layout)):
        down, across = layout.weights(tile)
        total[layout.box(tile).within(whole(layout))] += down[:, None] * across
    assert (total == 1).all()


@pytest.mark.parametrize("tiling", TILINGS, ids=lambda tiling: tiling.name)
def test_a_box_is_touched_by_the_tiles_that_weigh_anything_there(tiling):
    layout = Layout(2300, 1500, tiling)
    every = [Tile(row, column) for row in range(layout.rows) for column in range(layout.columns)]
    rng = np.random.default_rng(0)

    def weighs(tile, box):
        down, across = layout.weights(tile)
        rows, columns = layout.box(tile).common(box).within(layout.box(tile))
        return down[rows].any() and across[columns].any()

    for _ in range(50):
        top, left = rng.integers(0, 1400), rng.integers(0, 2200)
        box = Box(int(top), int(left), *map(int, rng.integers(1, 100, 2)))
        assert layout.touching(box) == [tile for tile in every if weighs(tile, box)]


@pytest.mark.parametrize("size", SIZES)
def test_a_tile_fits_its_window_and_a_slide_has_four_shapes_at_most(size):
    layout = Layout(*size)
    tiles = layout.touching(whole(layout))
    for tile in tiles:
        box, (height, width) = layout.box(tile), layout.shape(tile)
        assert box.height <= height in BLENDED.sides
        assert box.width <= width in BLENDED.sides
    assert len({layout.shape(tile) for tile in tiles}) <= 4


def test_a_patch_lies_whole_in_the_middle_of_one_tile():
    """So its pixels are read once, and no tile begins or ends within it."""
    assert BLENDED.step % PATCH_PX == 0
    assert 8 * PATCH_PX % BLENDED.step == 0


def test_the_overlap_costs_a_tenth_at_most():
    assert (BLENDED.side / BLENDED.step) ** 2 <= 1.1


def test_as_many_windows_as_make_a_batch_of_patches():
    assert at_once(4, (256, 256)) == 4
    assert at_once(32, (512, 512)) == 8
    assert at_once(4, (1072, 1072)) == 1
    assert at_once(4, (64, 64)) == 4, "no more than there were patches"
