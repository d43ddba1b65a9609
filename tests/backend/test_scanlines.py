"""Outlines on a raster: the same pixels as geometry says, at a cost that is counted before."""

import numpy as np
import pytest
import shapely

from backend.exchange.masks.geojson import Drawing, Shape
from backend.exchange.masks.placing import Grid, TooManyPatches, touched
from backend.exchange.masks.scanlines import Edges, paint
from backend.exchange.masks.work import TooMuchWork, Work

MUCH = 10**12


def stars(seed: int, count: int = 12) -> list[shapely.MultiPolygon]:
    """Outlines with holes and many parts, some of them partly outside."""
    rng = np.random.default_rng(seed)
    shapes = []
    for _ in range(count):
        centre, corners = rng.uniform(-50, 306, 2), int(rng.integers(3, 40))
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radius = rng.uniform(5, 120, corners)
        ring = centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        star = shapely.make_valid(shapely.Polygon(ring))
        hole = shapely.Point(centre).buffer(rng.uniform(1, 20))
        parts = [each for each in shapely.get_parts(star - hole) if each.geom_type == "Polygon"]
        if parts:
            shapes.append(shapely.MultiPolygon(parts))
    return shapes


@pytest.mark.parametrize("seed", range(4))
def test_painted_are_the_pixels_whose_centres_lie_inside(seed: int) -> None:
    y, x = np.mgrid[:256, :256]
    for corner, side in (((0.0, 0.0), 1.0), ((13.25, -7.5), 0.81)):
        for shape in stars(seed):
            mask = np.zeros((256, 256), np.uint8)
            paint(mask, 255, Edges.of(shape).within(corner, side), Work(MUCH).spend)
            wanted = shapely.contains_xy(
                shape,
                (corner[0] + (x.ravel() + 0.5) * side),
                (corner[1] + (y.ravel() + 0.5) * side),
            )
            np.testing.assert_array_equal(mask.ravel() == 255, wanted)


@pytest.mark.parametrize("seed", range(4))
def test_under_an_outline_is_every_patch_with_a_pixel_of_it_and_none_far_from_it(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    side = 20.0
    there = rng.random((14, 13)) > 0.3
    grid = Grid(np.argwhere(there), there.shape, side)
    for shape in stars(seed):
        under = np.zeros_like(there)
        under[tuple(grid.under(Edges.of(shape), Work(MUCH)).T)] = True
        row, column = np.indices(there.shape)
        boxes = shapely.box(column * side, row * side, (column + 1) * side, (row + 1) * side)
        rim = 0.25 * side / 256
        within = shapely.buffer(boxes, -rim, join_style="mitre")
        np.testing.assert_array_equal(under, shapely.intersects(within, shape) & there)


def comb(teeth: int) -> shapely.MultiPolygon:
    """Long teeth that lie in each other's boxes: point by point it took minutes."""
    left = np.arange(teeth) * 0.4
    top = [(x, 0.0) for x in left]
    tips = [(x + 0.1 + 700, 700.0) for x in left]
    ring = [place for pair in zip(top, tips, strict=True) for place in pair]
    return shapely.MultiPolygon([shapely.Polygon([*ring, (2000, 700), (2000, -9), (-9, -9)])])


def test_work_is_counted_and_ends_what_is_too_much() -> None:
    shape = comb(900)
    assert shape.is_valid
    grid = Grid(np.argwhere(np.ones((10, 10), bool)), (10, 10), 256.0)
    work = Work(MUCH)
    assert len(grid.under(Edges.of(shape), work))
    assert MUCH - work.left < 50 * len(Edges.of(shape).start)
    with pytest.raises(TooMuchWork):
        grid.under(Edges.of(shape), Work(100))
    with pytest.raises(TooManyPatches):
        touched(
            [Shape(Drawing.MEMBRANE, shape, None, None, "Feature 1")],
            grid,
            Work(MUCH),
            most=2,
            pause=lambda: None,
        )
