"""What a scanner, a file format or a turned slide may change must not change the category.

Percentages may move by the stated points (her2.md §5): 1 where pixels only change their place, more
where they lose something. They are bounds with room above what these phantoms do. Blur is the
exception: it lowers the peak of a line, so intense cells become moderate ones by the dozen, and
only the direction can be promised (docs/her2_validation.md).
"""

from functools import cache

import cv2
import numpy as np
import pytest

from models.her2.classes import CLASSES, INDEX
from models.her2.decision import decide
from models.her2.pixels import Field, Regions
from models.her2.protocols import load
from models.her2.tile import Settings
from models.her2.tiles import measure
from models.phantom import PhantomSpec, region
from models.phantom.tumour import richest_place
from models.stain import StainVectors

PROTOCOL = load("asco_cap_2023_breast")
SETTINGS = Settings(PROTOCOL, StainVectors())
SIDE = 1408
SCORES = ("0+", "1+", "2+", "3+")
GROUPS = {
    "stained": CLASSES[1:],
    "complete": ("WC", "MC", "IC"),
    "intense complete": ("IC",),
}


@cache
def slide(her2):
    """A phantom of a category, kept as a scanner without losses would: image and true mask."""
    spec = PhantomSpec(seed=11, her2=her2, outline=False, tumour=0.9, blur_um=0.2)
    x0, y0 = richest_place(spec, SIDE, 0)
    drawn = region(spec, x0, y0, SIDE, SIDE, jpeg=False)
    return drawn.image, drawn.mask > 0, spec.mpp


def judged(image, mask, mpp):
    field = Field(image, mpp, mask)
    cells = measure(
        field, field.masks, regions=Regions.whole(field), settings=SETTINGS, workers=1
    ).cells
    counts = cells.counts
    percent = {
        group: 100 * sum(counts[INDEX[name]] for name in names) / counts.sum()
        for group, names in GROUPS.items()
    }
    return decide(counts, PROTOCOL).score, percent


@cache
def untouched(her2):
    return judged(*slide(her2))


def compressed(image, quality):
    coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1].copy()


def brighter(image, factor):
    return np.clip(np.rint(image * factor), 0, 255).astype(np.uint8)


def blurred(image, um, mpp):
    return cv2.GaussianBlur(image, (0, 0), um / mpp)


def turned(pixels):
    return np.ascontiguousarray(np.rot90(pixels))


def flipped(pixels):
    return np.ascontiguousarray(pixels[:, ::-1])


CHANGES = {
    "JPEG 90": lambda image, mask, mpp: (compressed(image, 90), mask, mpp),
    "JPEG 60": lambda image, mask, mpp: (compressed(image, 60), mask, mpp),
    "5 % brighter": lambda image, mask, mpp: (brighter(image, 1.05), mask, mpp),
    "5 % darker": lambda image, mask, mpp: (brighter(image, 0.95), mask, mpp),
    "blur of 0.5 µm": lambda image, mask, mpp: (blurred(image, 0.5, mpp), mask, mpp),
    "pixels 2 % larger": lambda image, mask, mpp: (image, mask, 1.02 * mpp),
    "turned": lambda image, mask, mpp: (turned(image), turned(mask), mpp),
    "flipped": lambda image, mask, mpp: (flipped(image), flipped(mask), mpp),
}
POINTS = {
    "JPEG 90": (4, 8, 8),
    "JPEG 60": (4, 10, 10),
    "5 % brighter": (2, 2, 4),
    "5 % darker": (2, 2, 4),
    "blur of 0.5 µm": (4, 20, 100),
    "pixels 2 % larger": (3, 6, 6),
    "turned": (1, 1, 1),
    "flipped": (1, 1, 1),
}
"""How far each of GROUPS may move."""


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("her2", SCORES)
def test_the_category_holds_and_percentages_hardly_move(her2, change):
    score, percent = judged(*CHANGES[change](*slide(her2)))
    before, usual = untouched(her2)
    moved = {group: percent[group] - usual[group] for group in GROUPS}
    assert before == her2
    assert score == before
    for (group, points), most in zip(moved.items(), POINTS[change], strict=True):
        assert abs(points) <= most, group
    if change.startswith("blur"):
        assert moved["intense complete"] <= 1, "what is blurred looks weaker, never stronger"
