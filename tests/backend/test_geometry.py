"""Places on a slide: level conversions, Deep Zoom boxes, the analysis grid."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.kit.geometry import Region0, Size0, best_level, level_box
from backend.slides.patches import grid
from backend.slides.reading.tiles import TILE_PX, TileOutside, dzi, level_size, tile_box, top_level

SIDES = st.integers(1, 200_000)


def slide(width: int, height: int, mpp: float) -> SimpleNamespace:
    return SimpleNamespace(width=width, height=height, mpp=mpp)


def test_the_best_level_is_the_coarsest_that_is_fine_enough() -> None:
    levels = (1.0, 4.0, 16.03)
    assert best_level(levels, 0.5) == 0
    assert best_level(levels, 3.9) == 0
    assert best_level(levels, 4.0) == 1
    assert best_level(levels, 16.0) == 2  # 16.03 is a level's own rounding
    assert best_level(levels, 1000) == 2


def test_a_level_box_covers_its_region_and_the_margin() -> None:
    box = level_box(Region0(10.5, 20, 100, 4), level=1, downsample=4, margin=2)
    assert (box.x, box.y, box.width, box.height) == (0, 3, 30, 5)


def test_a_region_is_clipped_to_the_slide() -> None:
    assert Region0(-5, 90, 20, 20).clipped(Size0(100, 100)) == Region0(0, 90, 15, 10)
    assert Region0(200, 0, 5, 5).clipped(Size0(100, 100)).width == 0
    assert not Region0(0, 0, 10, 10).intersects(Region0(10, 0, 5, 5))


@given(width=SIDES, height=SIDES, data=st.data())
def test_the_tiles_of_a_level_cover_the_slide_once(
    width: int, height: int, data: st.DataObject
) -> None:
    level = data.draw(st.integers(0, top_level(width, height)))
    level_width, level_height = level_size(width, height, level)
    columns, rows = -(-level_width // TILE_PX), -(-level_height // TILE_PX)
    across = [tile_box(width, height, level, col, 0) for col in {0, columns - 1}]
    assert min(box.region.x for box in across) == 0
    assert max(box.region.right for box in across) == width
    down = tile_box(width, height, level, 0, rows - 1)
    assert down.region.bottom == height
    assert 1 <= down.size[1] <= TILE_PX
    with pytest.raises(TileOutside):
        tile_box(width, height, level, columns, 0)
    with pytest.raises(TileOutside):
        tile_box(width, height, level, 0, rows)


def test_the_first_tile_is_one_pixel_and_the_top_level_is_the_slide() -> None:
    assert tile_box(5468, 5468, 0, 0, 0).size == (1, 1)
    assert top_level(5468, 5468) == 13
    assert tile_box(5468, 5468, 13, 1, 2).region == Region0(256, 512, 256, 256)


@pytest.mark.parametrize(("level", "col"), [(-1, 0), (14, 0), (13, -1), (13, 22)])
def test_tiles_outside_the_pyramid_have_a_code(level: int, col: int) -> None:
    with pytest.raises(TileOutside) as refused:
        tile_box(5468, 5468, level, col, 0)
    assert (refused.value.status, refused.value.problem_code) == (404, "tile_outside")


def test_the_descriptor_names_size_and_tiles() -> None:
    text = dzi(100, 50)
    assert 'TileSize="256"' in text
    assert 'Overlap="0"' in text
    assert '<Size Width="100" Height="50"/>' in text


def test_a_stored_resolution_off_by_rounding_needs_no_resampling() -> None:
    assert grid.scale(0.25000001, 0.25) == 1.0
    assert grid.scale(0.5, 0.25) == 0.5
    assert grid.grid_shape(slide(4096, 2048, 0.2500000001), 0.25) == (8, 16)


@given(width=st.integers(1, 50_000), height=st.integers(1, 50_000), mpp=st.floats(0.05, 10))
def test_the_grid_covers_the_slide_and_no_patch_lies_outside(
    width: int, height: int, mpp: float
) -> None:
    it = slide(width, height, mpp)
    rows, columns = grid.grid_shape(it, 0.25)
    last = grid.patch_region(it, rows - 1, columns - 1, 0.25)
    # the grid may end short by a rounding of the resolution, never by a pixel
    assert last.right >= width - 0.01 * max(1.0, last.width / 256)
    assert last.bottom >= height - 0.01 * max(1.0, last.height / 256)
    assert last.x < width
    assert last.y < height


def test_a_slide_smaller_than_a_patch_has_one() -> None:
    assert grid.grid_shape(slide(16, 16, 0.25), 0.25) == (1, 1)
    assert grid.patch_region(slide(16, 16, 0.25), 0, 0, 0.25) == Region0(0, 0, 256, 256)


def test_a_coarse_slide_is_resampled_and_a_fine_one_too() -> None:
    assert grid.patch_region(slide(1000, 1000, 0.5), 1, 2, 0.25) == Region0(256, 128, 128, 128)
    assert grid.patch_region(slide(1000, 1000, 0.125), 0, 1, 0.25).x == 512
