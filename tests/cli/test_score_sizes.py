"""Which pixel size `membrana score` believes: a microscope's, square, and no other."""

import json

import numpy as np
import pytest
import tifffile

from tests.models.her2.mosaic import all_of, mosaic
from worker.commands.image_files import MOST_PIXELS, check_size, read_picture, stated_size
from worker.commands.options import Refused
from worker.commands.scoring import prepared
from worker.commands.sources import source_of

UM_PER_CM = 10_000


def tiled(path, across_um, down_um=None):
    """A tiled TIFF, as OpenSlide reads, whose resolution says these µm per pixel."""
    pixels = np.full((512, 512, 3), 230, np.uint8)
    per_cm = UM_PER_CM / across_um, UM_PER_CM / (down_um or across_um)
    tifffile.imwrite(path, pixels, tile=(256, 256), resolution=per_cm, resolutionunit="CENTIMETER")
    return path


def test_a_scanners_pixel_size_is_read_and_a_persons_word_goes_before_it(tmp_path):
    path = tiled(tmp_path / "slide.tif", 0.25)
    assert read_picture(path, None).mpp == pytest.approx(0.25, rel=1e-3)
    assert read_picture(path, 0.5).mpp == 0.5


@pytest.mark.parametrize(("across", "down"), [(352.8, 352.8), (0.25, 0.5), (0.001, 0.001)])
def test_what_no_microscope_has_is_not_taken_and_said(tmp_path, across, down):
    path = tiled(tmp_path / "slide.tif", across, down)
    picture = read_picture(path, None)
    assert picture.mpp is None
    assert "no square pixel of a microscope" in picture.doubt
    with pytest.raises(Refused, match="Give --mpp") as refused:
        prepared(picture, source_of(None, "255", None, proposal=True))
    assert refused.value.problem_code == "mpp_missing"
    assert read_picture(path, 0.25).mpp == 0.25, "a person knows better"


@pytest.mark.parametrize("mpp", [0.0, -1.0, 352.8, 0.01, float("nan"), float("inf")])
def test_a_stated_size_that_no_microscope_has_is_refused(tmp_path, mpp):
    with pytest.raises(Refused, match=r"between 0\.05 and 10") as refused:
        stated_size(mpp, "--mpp")
    assert refused.value.problem_code == "mpp_implausible"
    with pytest.raises(Refused, match=r"between 0\.05 and 10"):
        read_picture(tiled(tmp_path / "slide.tif", 0.25), mpp)


def test_what_would_not_fit_at_the_working_resolution_is_refused_before_it_is_made(tmp_path):
    side = int(MOST_PIXELS**0.5) // 4
    check_size(tmp_path / "a.tif", side, side, 0.25)
    check_size(tmp_path / "a.tif", side, side, 0.5)
    with pytest.raises(Refused, match=r"At 10 µm per pixel a\.tif shows") as refused:
        check_size(tmp_path / "a.tif", side, side, 10.0)
    assert refused.value.problem_code == "image_too_large"
    with pytest.raises(Refused, match="too many for one picture"):
        check_size(tmp_path / "a.tif", 8 * side, 8 * side, None)


def test_a_scan_at_72_dpi_is_not_assessable_and_says_why(membrana, tmp_path):
    path = tmp_path / "office.tif"
    tifffile.imwrite(path, mosaic(all_of("N")).image, tile=(256, 256), resolution=(72, 72))
    done = membrana("score", str(path), "--proposal", "-o", str(tmp_path / "out"))
    assert done.code == 0, done.err
    [document] = json.loads(done.out)
    assert (document["score"], document["reason"]) == ("not assessable", "mpp_missing")
    [flag] = [each for each in document["flags"] if each["code"] == "mpp_missing"]
    assert "352" in flag["detail"]


@pytest.mark.parametrize("mpp", ["0", "-1"])
def test_the_commands_refuse_such_a_size_before_anything_is_read(membrana, tmp_path, mpp):
    done = membrana(
        "score", str(tmp_path / "none.png"), "--proposal", f"--mpp={mpp}", "-o", str(tmp_path)
    )
    assert done.code == 2
    assert "(mpp_implausible)" in done.err
