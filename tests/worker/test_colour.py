"""Colour profiles: pixels come in sRGB wherever they are read, odd profiles are named."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from backend.kit.geometry import Region0
from backend.settings import get_settings
from backend.slides.reading import colour
from backend.slides.reading.colour import ProfileUnusable, to_srgb
from backend.slides.reading.reader import OpenSlideReader, open_slides, tile_cache
from tests.conftest import Service
from tests.support import odd_tiffs, profiles
from tests.support.intake import decoded, encoded, ingested
from worker.commands.image_files import read_picture

WIDE, STEEP = profiles.profile(profiles.ADOBE, 2.2), profiles.profile(gamma=1.8)
WHOLE = Region0(0, 0, odd_tiffs.SIDE, odd_tiffs.SIDE)
SIZE = (odd_tiffs.SIDE, odd_tiffs.SIDE)


def expected(profile: bytes) -> np.ndarray:
    """Tissue as littleCMS shows it in sRGB."""
    made = ImageCms.profileToProfile(
        Image.fromarray(odd_tiffs.tissue()),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    return np.asarray(made)


def density(pixels: np.ndarray) -> np.ndarray:
    return -np.log10(np.maximum(pixels, 1) / 255)


def test_a_profile_changes_the_stain_by_more_than_its_cost() -> None:
    """Why profiles are honoured: optical density depends on them."""
    seen, stored = density(expected(STEEP)), density(odd_tiffs.tissue())
    dark = stored.mean(axis=-1) > 0.15
    assert np.abs(seen - stored)[dark].mean() / stored[dark].mean() > 0.1
    assert to_srgb(profiles.profile(profiles.ADOBE, 2.2)) is not None
    assert expected(STEEP)[odd_tiffs.tissue().min(axis=-1) == 255].min(initial=255) == 255


def test_srgb_and_no_profile_cost_nothing() -> None:
    assert to_srgb(None) is None
    assert to_srgb(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()) is None


@pytest.mark.parametrize(
    "odd",
    [
        b"no profile" * 30,
        WIDE[:200],
        bytes(600),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        profiles.profile(((0, 0, 0),) * 3),
        profiles.profile(tuple(tuple(x / 20 for x in each) for each in profiles.SRGB)),
    ],
)
def test_an_odd_profile_is_no_reason_to_fail(tmp_path: Path, odd: bytes) -> None:
    with pytest.raises(ProfileUnusable):
        to_srgb(odd)
    path = odd_tiffs.written(tmp_path / "a.tif", iccprofile=odd)
    reader = OpenSlideReader(path)
    assert reader.has_odd_profile
    assert np.array_equal(reader.read(WHOLE, SIZE), odd_tiffs.tissue())
    assert np.array_equal(read_picture(path, 0.25).pixels, odd_tiffs.tissue())


@pytest.mark.parametrize("profile", [WIDE, STEEP], ids=["wide", "steep"])
def test_a_slide_is_read_in_srgb_by_everyone(tmp_path: Path, profile: bytes) -> None:
    path = odd_tiffs.written(tmp_path / "a.tif", iccprofile=profile)
    wanted = expected(profile)
    reader = OpenSlideReader(path)
    assert np.array_equal(reader.read(WHOLE, SIZE), wanted)
    assert np.array_equal(
        reader.read(Region0(50, 60, 256, 256), (256, 256)), wanted[60:316, 50:306]
    )
    assert np.array_equal(read_picture(path, 0.25).pixels, wanted)
    # as slides were read that have results
    assert np.array_equal(OpenSlideReader(path, srgb=False).read(WHOLE, SIZE), odd_tiffs.tissue())
    assert np.array_equal(open_slides.get(path, srgb=False).read(WHOLE, SIZE), odd_tiffs.tissue())
    assert np.array_equal(open_slides.get(path).read(WHOLE, SIZE), wanted)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_fields_tiles_and_the_file_commands_agree(
    service: Service, tmp_path: Path, kind: str
) -> None:
    content = encoded(odd_tiffs.tissue(), kind, icc_profile=STEEP)
    slide = ingested(service, content, f"field.{kind.lower()}", mpp="0.25")
    assert slide["state"] == "ready"
    assert colour.UNUSABLE not in slide["qc"]
    tile = decoded(service.client.get(f"/slides/{slide['id']}_files/9/0_0.png"))
    wanted = expected(STEEP)
    assert np.array_equal(tile, wanted[:256, :256])
    path = tmp_path / f"field.{kind.lower()}"
    path.write_bytes(content)
    assert np.array_equal(read_picture(path, 0.25).pixels, wanted)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_an_odd_profile_is_named(service: Service, kind: str) -> None:
    content = encoded(odd_tiffs.tissue(), kind, icc_profile=WIDE[:200])
    slide = ingested(service, content, "field", mpp="0.25")
    assert slide["state"] == "ready"
    assert colour.UNUSABLE in slide["qc"]


def test_slides_share_one_bounded_cache_of_tiles() -> None:
    """OpenSlide's own is of 32 MiB for every handle."""
    capacity = get_settings().tile_cache_bytes
    assert 0 < capacity <= 1024**3
    assert tile_cache(capacity) is tile_cache(capacity)
