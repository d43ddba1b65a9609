"""Content that a file holds beside its picture: named, or refused; never dropped without a word."""

import io

import numpy as np
import pytest
import tifffile

from tests.conftest import Service
from tests.support.intake import decoded, encoded, ingested

SLIDE = np.random.default_rng(3).integers(60, 200, (200, 250, 3), np.uint8)
THUMBNAIL = np.full((100, 120, 3), 20, np.uint8)
TILED = {"tile": (64, 64)}


def tiff(*pages: tuple[np.ndarray, dict], **options: object) -> bytes:
    packed = io.BytesIO()
    with tifffile.TiffWriter(packed, **options) as writer:
        for pixels, how in pages:
            writer.write(pixels, photometric="rgb", metadata=None, **how)
    return packed.getvalue()


def whole(service: Service, slide: dict) -> np.ndarray:
    return decoded(service.client.get(f"/slides/{slide['id']}_files/8/0_0.png"))


@pytest.mark.parametrize(
    "pages",
    [
        [(SLIDE, {}), (THUMBNAIL, {})],
        [(THUMBNAIL, {}), (SLIDE, {})],
        [(THUMBNAIL, TILED), (SLIDE, {})],
        [(THUMBNAIL, TILED), (SLIDE, TILED)],
        [(SLIDE, TILED), (THUMBNAIL, {})],
        [(THUMBNAIL, {"subifds": 1}), (SLIDE, {})],
    ],
    ids=["second", "first", "first_tiled", "both_tiled", "beside_tiled", "around"],
)
@pytest.mark.parametrize("options", [{}, {"bigtiff": True, "byteorder": ">"}], ids=["<", "big>"])
def test_the_largest_picture_is_the_slide_and_the_others_are_named(
    service: Service, pages: list, options: dict
) -> None:
    slide = ingested(service, tiff(*pages, **options), mpp="0.25")
    assert (slide["state"], slide["problem"]) == ("ready", None)
    assert (slide["width"], slide["height"]) == (250, 200)
    assert "pictures_left_out" in slide["qc"]
    assert np.array_equal(whole(service, slide), SLIDE)


def test_two_fields_in_one_file_are_refused(service: Service) -> None:
    for how in ({}, TILED):
        slide = ingested(service, tiff((SLIDE, how), (SLIDE[::-1], how)), mpp="0.25")
        assert (slide["state"], slide["problem"]["code"]) == ("failed", "image_frames")
        assert "split them" in slide["problem"]["detail"]


@pytest.mark.parametrize("how", [{}, TILED], ids=["strips", "tiles"])
@pytest.mark.parametrize(
    ("meaning", "fourth"), [("unspecified", 0), ("unspecified", 7), ("unassalpha", 0)]
)
def test_a_fourth_channel_that_would_hide_the_picture_is_left_out_and_named(
    service: Service, how: dict, meaning: str, fourth: int
) -> None:
    four = np.dstack([SLIDE, np.full(SLIDE.shape[:2], fourth, np.uint8)])
    slide = ingested(service, tiff((four, {**how, "extrasamples": [meaning]})), mpp="0.25")
    assert slide["state"] == "ready"
    assert "channel_left_out" in slide["qc"]
    assert np.array_equal(whole(service, slide), SLIDE)


def test_a_png_that_is_transparent_all_over_shows_its_colours(service: Service) -> None:
    four = np.dstack([SLIDE, np.zeros(SLIDE.shape[:2], np.uint8)])
    slide = ingested(service, encoded(four, "PNG"), mpp="0.25")
    assert "channel_left_out" in slide["qc"]
    assert np.array_equal(whole(service, slide), SLIDE)
