"""What pycocotools draws of our polygons is the mask, pixel for pixel."""

from collections.abc import Callable

import numpy as np
import pytest
from pycocotools import mask as coco_masks

from backend.exchange.masks.coco_shapes import Bool, Shape, connected, cuts, run_lengths

SIDE = 256


def drawn(shape: Shape) -> Bool:
    found = coco_masks.frPyObjects(shape.segmentation, SIDE, SIDE)
    merged = coco_masks.merge(found) if isinstance(found, list) else found
    return coco_masks.decode(merged).astype(bool)


def rings(seed: int) -> Bool:
    """A net of membranes: rings that touch, of one to six pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    mask = np.zeros((SIDE, SIDE), bool)
    for _ in range(25):
        across, down, radius = *rng.uniform(0, SIDE, 2), rng.uniform(8, 30)
        away = np.hypot(x - across, y - down)
        mask |= (away < radius) & (away > radius - rng.uniform(1, 6))
    return mask


def noise(seed: int) -> Bool:
    return np.random.default_rng(seed).random((SIDE, SIDE)) < (0.2, 0.5, 0.7, 0.95)[seed % 4]


def blocks(seed: int) -> Bool:
    """Squares that meet in corners only, at the rim of the patch too."""
    return np.random.default_rng(seed).random((32, 32)).repeat(8, 0).repeat(8, 1) < 0.5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("made", [rings, noise, blocks])
def test_polygons_are_the_pixels(made: Callable[[int], Bool], seed: int) -> None:
    mask = made(seed)
    together = np.zeros((SIDE, SIDE), int)
    for shape in connected(mask):
        inside = drawn(shape)
        together += inside
        x, y, width, height = shape.bbox
        assert shape.area == inside.sum() == inside[y : y + height, x : x + width].sum()
    np.testing.assert_array_equal(together, mask)


def test_whole_and_empty_patches() -> None:
    assert list(connected(np.zeros((SIDE, SIDE), bool))) == []
    [whole] = connected(np.ones((SIDE, SIDE), bool))
    assert drawn(whole).all()
    assert (whole.bbox, whole.area) == ([0, 0, SIDE, SIDE], SIDE**2)


def test_a_shape_with_holes_is_cut_into_polygons() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[50:100, 50:150] = True
    mask[60:70, 60:80] = mask[80:90, 70:90] = mask[60:62, 140] = False
    [shape] = connected(mask)
    # one column through two holes, another through the third
    assert len(shape.segmentation) == 3
    np.testing.assert_array_equal(drawn(shape), mask)
    assert cuts([(60, 0, 80, 1), (70, 0, 90, 1), (140, 0, 141, 1)]) == [79, 140]


def test_what_is_a_texture_stays_run_lengths() -> None:
    mask = np.ones((SIDE, SIDE), bool)
    mask[1:-1:2, 1:-1:2] = False
    [shape] = connected(mask)
    assert shape.segmentation == run_lengths(mask)
    np.testing.assert_array_equal(drawn(shape), mask)
