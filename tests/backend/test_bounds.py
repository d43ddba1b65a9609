"""The scanned part of a slide is the slide: which part that is, and what is read of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.kit.geometry import Region0
from backend.slides.catalogue.overview import read_overview
from backend.slides.reading.bounds import NAMES, Bounds, bounds_of
from backend.slides.reading.reader import OpenSlideReader
from tests.support.vendor_slides import Rgb, leica_scn

CANVAS = 2000, 1000
WHOLE = Bounds(0, 0, *CANVAS)
IGNORED = Bounds(0, 0, *CANVAS, ignored=True)
SIDE = 1024


def named(*values: object) -> dict[str, str]:
    return {name: str(value) for name, value in zip(NAMES, values, strict=False)}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (named(), WHOLE),
        (named(0, 0, 2000, 1000), WHOLE),
        (named(512, 256, 1000, 700), Bounds(512, 256, 1000, 700)),
        # more than there is: cut, and the corner stays
        (named(512, 256, 9000, 9000), Bounds(512, 256, 1488, 744)),
        # QuPath counts from a corner before the canvas too
        (named(-1, -200, 1000, 700), Bounds(-1, -200, 1000, 700)),
        (named(-1, 0, 2001, 1000), Bounds(-1, 0, 2001, 1000)),
        (named(-5000, 0, 6000, 700), IGNORED),
        (named(-200, 0, 200, 700), IGNORED),
        (named(2000, 0, 10, 10), IGNORED),
        (named(0, 1000, 10, 10), IGNORED),
        (named(0, 0, 0, 0), IGNORED),
        (named(10, 10, -10, 10), IGNORED),
        (named(10, 10, 10), IGNORED),
        (named(10, 10, 10, "nan"), IGNORED),
        (named(10, 10, 10, ""), IGNORED),
        # no number to QuPath's Integer.parseInt
        (named("512.0", 256, 1000, 700), IGNORED),
        (named(" 512", 256, 1000, 700), IGNORED),
        (named("1_0", 256, 1000, 700), IGNORED),
        (named("٣", 256, 1000, 700), IGNORED),
        (named("9" * 5000, 256, 1000, 700), IGNORED),
    ],
)
def test_what_a_file_names_is_the_slide_unless_it_can_be_none(
    said: dict[str, str], expected: Bounds
) -> None:
    assert bounds_of(said, CANVAS) == expected


def picture() -> Rgb:
    """Colours that change slowly and say where they are."""
    down, across = np.mgrid[:SIDE, :SIDE]
    return np.stack([across / 4, down / 4, (across + down) % 256], -1).astype(np.uint8)


@pytest.mark.parametrize(("left", "top"), [(512, 256), (301, 77), (0, 1024)])
def test_boxes_count_from_the_scanned_part(tmp_path: Path, left: int, top: int) -> None:
    path = tmp_path / "a.scn"
    path.write_bytes(leica_scn(picture(), 0.25, left=left, top=top))
    reader = OpenSlideReader(path)
    assert reader.dimensions == (SIDE, SIDE)
    assert reader.level_dimensions == ((SIDE, SIDE), (SIDE // 2,) * 2, (SIDE // 4,) * 2)
    assert np.array_equal(
        reader.read(Region0(128, 64, 256, 200), (256, 200)), picture()[64:264, 128:384]
    )
    beyond = reader.read(Region0(SIDE - 10, 0, 20, 20), (20, 20))
    assert np.array_equal(beyond[:, :10], picture()[:20, -10:])
    assert (beyond[:, 10:] == 255).all()
    small = read_overview(reader, 4).image
    expected = np.asarray(Image.fromarray(picture()).resize((256, 256), Image.Resampling.BOX))
    # the sawtooth of the third colour rings where it falls
    inner = np.abs(small.astype(int) - expected)[4:-4, 4:-4, :2]
    assert small.shape == expected.shape
    assert inner.max() <= 2
    assert (np.abs(np.roll(small, 8, axis=1).astype(int) - expected)[16:-16, 16:-16, 0] > 4).all()
    whole = OpenSlideReader(path, bounded=False)
    assert whole.dimensions == (2 * SIDE, 2 * SIDE)
    seen = whole.read(Region0(left + 128, top + 64, 256, 200), (256, 200))
    assert np.array_equal(seen, picture()[64:264, 128:384])
