"""Channels of a fluorescence stack fail in words; our own mark of a phantom is never a word."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from backend.slides.reading import pixel_kinds
from backend.slides.reading.pixel_kinds import NotBrightfield
from backend.slides.reading.reader import OpenSlideReader
from models.phantom import PhantomSpec, write
from models.phantom.mark import LABEL, is_marked
from tests.support import odd_tiffs
from worker.facts import facts_of
from worker.survey import NO_TISSUE, survey


def stack(path: Path, channels: int, *, dtype: type = np.uint8, tile: bool = True) -> Path:
    """Write grey pages of one size, as QPTIFF and OME-TIFF have their channels."""
    grey = odd_tiffs.tissue()[..., 1].astype(dtype)
    with tifffile.TiffWriter(path) as file:
        for number in range(channels):
            file.write(
                grey,
                photometric="minisblack",
                tile=(256, 256) if tile else None,
                description=f"<PerkinElmer-QPI-ImageDescription><Name>{number}</Name>",
                metadata=None,
            )
    return path


@pytest.mark.parametrize("channels", [2, 3, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("tile", [True, False])
def test_one_grey_picture_a_channel_is_no_brightfield(
    tmp_path: Path, channels: int, dtype: type, *, tile: bool
) -> None:
    path = stack(tmp_path / "a.qptiff", channels, dtype=dtype, tile=tile)
    with pytest.raises(NotBrightfield, match=f"{channels} grey") as refused:
        pixel_kinds.check_brightfield(path)
    assert refused.value.problem_code == "fluorescence"


def test_levels_thumbnails_and_colour_pages_are_no_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for side in (512, 256, 128):
            file.write(odd_tiffs.tissue(side)[..., 1], photometric="minisblack", tile=(128, 128))
        for _ in range(2):
            file.write(odd_tiffs.tissue(), photometric="rgb", tile=(128, 128))
    pixel_kinds.check_brightfield(path)


@pytest.mark.parametrize(
    "words",
    [
        "Synthetic HER2 phantom by Membrana: not a patient's tissue",
        "scanned with synthetic antibody control",
        '{"synthetic": true}',
        '{"label": "synthetic", "synthetic": true}',
        json.dumps({"label": LABEL, "synthetic": "yes"}),
    ],
)
def test_a_word_in_a_description_makes_no_slide_synthetic(tmp_path: Path, words: str) -> None:
    path = odd_tiffs.written(tmp_path / "a.tif", description=words)
    assert facts_of(OpenSlideReader(path), None).synthetic is False


def test_a_phantom_carries_its_mark_in_a_field_of_its_own(tmp_path: Path) -> None:
    written = write(PhantomSpec(width=512, height=512, seed=1), tmp_path / "a.tif", threads=1)
    facts = facts_of(OpenSlideReader(written.slide), None)
    assert facts.synthetic is True
    # what it says of itself in its description is not needed
    with tifffile.TiffFile(written.slide) as file:
        page = file.pages[0]
        assert is_marked(page.tags[700].value, "")
        # phantoms before the mark were written with this JSON alone
        assert is_marked(b"", page.description)


@pytest.mark.parametrize("grey", [255, 150])
@pytest.mark.parametrize("side", [256, 1100])
def test_no_tissue_and_patches_exclude_each_other(tmp_path: Path, grey: int, side: int) -> None:
    pixels = np.full((side, side, 3), grey, np.uint8)
    if side > 256 and grey < 255:
        pixels[:] = 255
        pixels[:40, :40] = (150, 100, 60)
    path = odd_tiffs.written(tmp_path / "a.tif", pixels)

    class Measured:
        width, height, mpp = side, side, 0.25

    seen = survey(OpenSlideReader(path), Measured(), analysis_mpp=0.25, min_tissue_fraction=0.1)
    assert (NO_TISSUE in seen.qc) == (not seen.rows)
    assert bool(seen.rows) == (side == 256)
