"""The area that a score was counted on is the tissue in the region, in mm², without glass."""

import numpy as np
import pytest
import shapely

from models.her2.evaluated import Tissue, tissue_mm2
from models.her2.pixels import Field, Regions
from models.her2.white_point import survey
from models.stain import StainVectors

MPP = 0.25


def half_tissue(colour: tuple[int, int, int] = (196, 176, 190)) -> Field:
    """Tissue of one colour, not quite even, on the left half; bare glass on the right."""
    image = np.full((2400, 2400, 3), 243, np.uint8)
    image[:, :1200] = colour
    grain = np.random.default_rng(1).integers(-6, 7, image.shape)
    return Field(np.clip(image + grain, 0, 255).astype(np.uint8), MPP)


def mm2(slide, *corners):
    seen = survey(slide, StainVectors())
    return tissue_mm2(seen.tissue, Regions.of([shapely.box(*corners)]), slide.mpp)


def test_glass_in_a_region_is_not_evaluated():
    slide = half_tissue()
    whole = (2400 * MPP) ** 2 / 1e6
    assert mm2(slide, 0, 0, 2400, 2400) == pytest.approx(whole / 2, rel=0.05)
    assert mm2(slide, 100, 100, 900, 900) == pytest.approx((800 * MPP) ** 2 / 1e6, rel=0.02)
    assert mm2(slide, 1400, 100, 2300, 2300) == 0


def test_pale_tissue_is_tissue_and_a_lumen_is_not():
    pale = half_tissue((224, 210, 222))
    assert mm2(pale, 100, 100, 900, 900) == pytest.approx((800 * MPP) ** 2 / 1e6, rel=0.02)
    image = pale.image.copy()
    image[300:700, 300:700] = 243
    expected = (800**2 - 400**2) * MPP**2 / 1e6
    assert mm2(Field(image, MPP), 100, 100, 900, 900) == pytest.approx(expected, rel=0.05)


def test_holes_and_parts_of_a_region_count_as_they_are():
    slide = half_tissue()
    ring = shapely.box(100, 100, 1100, 1100).difference(shapely.box(300, 300, 900, 900))
    regions = Regions.of([ring, shapely.box(1500, 1500, 2000, 2000)])
    seen = survey(slide, StainVectors())
    expected = (1000**2 - 600**2) * MPP**2 / 1e6
    assert tissue_mm2(seen.tissue, regions, MPP) == pytest.approx(expected, rel=0.05)
    assert tissue_mm2(seen.tissue, Regions.of([]), MPP) == 0


def test_a_scanners_black_padding_is_no_tissue_and_the_mask_is_kept_as_text():
    image = half_tissue().image.copy()
    image[:, :300] = 0
    assert mm2(Field(image, MPP), 0, 0, 300, 2400) == pytest.approx(0, abs=0.01)
    tissue = Tissue.of(image, (243.0, 243.0, 243.0), MPP)
    assert tissue.mask.shape == (tissue.height, tissue.width)
    assert Tissue(**vars(tissue)) == tissue
    assert np.array_equal(Tissue(**vars(tissue)).mask, tissue.mask)
    assert Tissue.everywhere().mask.all()
