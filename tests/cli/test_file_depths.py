"""Files read as the service reads them: depths of 10 to 16 bits, colour profiles, broken ones."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from backend.slides.reading import colour
from models.study.files import DatasetError
from tests.cli.conftest import Membrana
from tests.conftest import Service
from tests.support import odd_tiffs, profiles
from tests.support.intake import decoded, ingested
from worker.commands.image_files import read_picture
from worker.commands.options import Refused
from worker.commands.training_images import pixels_of
from worker.commands.training_options import Folders

STEEP = profiles.profile(gamma=1.8)
BROKEN = STEEP[:200]
MAX_SAMPLE, OME = 281, '<OME><Image><Pixels SignificantBits="{}"/></Image></OME>'


def deep(bits: int) -> np.ndarray:
    return np.round(odd_tiffs.tissue() / 255 * (2**bits - 1)).astype(np.uint16)


def tiff(path: Path, bits: int, **options: object) -> Path:
    says = [(MAX_SAMPLE, "H", 3, (2**bits - 1,) * 3, True)]
    return odd_tiffs.written(path, deep(bits), extratags=says, **options)


def png(path: Path, pixels: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    return path


KINDS: dict[str, Callable[[Path], Path]] = {
    "10 of 16, tiles": lambda folder: tiff(folder / "a.tif", 10),
    "12 of 16, tiles": lambda folder: tiff(folder / "a.tif", 12),
    "14 of 16, strips": lambda folder: tiff(folder / "a.tif", 14, tile=None),
    "12 of 16, strips, Deflate": lambda folder: tiff(
        folder / "a.tif", 12, tile=None, compression="zlib"
    ),
    "12 of 16, said by OME": lambda folder: odd_tiffs.written(
        folder / "a.ome.tif", deep(12), description=OME.format(12)
    ),
    "16, tiles": lambda folder: odd_tiffs.written(folder / "a.tif", deep(16)),
    "16, PNG": lambda folder: png(folder / "a.png", deep(16)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_depth_is_scaled_alike_for_scores_and_trainings(tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path)
    shown = read_picture(path, 0.25).pixels
    assert np.abs(shown.astype(int) - odd_tiffs.tissue()).max() <= 1
    [learned] = pixels_of(path)
    assert np.array_equal(learned, shown)


def test_greys_of_16_bits_are_a_picture_too(tmp_path: Path) -> None:
    for path in (
        png(tmp_path / "a.png", deep(16)[..., 1]),
        odd_tiffs.written(tmp_path / "a.tif", deep(16)[..., 1], tile=None),
    ):
        shown = read_picture(path, 0.25).pixels
        assert np.abs(shown[..., 0].astype(int) - odd_tiffs.tissue()[..., 1]).max() <= 1
        assert np.array_equal(pixels_of(path)[0], shown)


@pytest.mark.parametrize("kind", ["12 of 16, tiles", "14 of 16, strips", "16, PNG"])
def test_the_service_shows_the_same_pixels(service: Service, tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path)
    slide = ingested(service, path.read_bytes(), path.name, mpp="0.25")
    assert slide["state"] == "ready", slide["problem"]
    tile = decoded(service.client.get(f"/slides/{slide['id']}_files/9/0_0.png"))
    assert np.array_equal(tile, read_picture(path, 0.25).pixels[:256, :256])


def test_a_depth_that_nobody_says_is_refused_by_the_files_name(tmp_path: Path) -> None:
    path = odd_tiffs.written(tmp_path / "a.tif", deep(12))
    for read in (lambda: read_picture(path, 0.25), lambda: pixels_of(path)):
        with pytest.raises(Exception, match="16 bits") as refused:
            read()
        assert refused.value.problem_code == "unsupported_pixels"  # type: ignore[attr-defined]
    with pytest.raises(Refused, match=r"a\.tif"):
        pixels_of(path)


def test_pages_are_scaled_one_by_one_and_must_be_of_one_size(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    pages = np.stack([deep(16), deep(16)[::-1], deep(16)[:, ::-1]])
    tifffile.imwrite(path, pages, photometric="rgb", metadata=None)
    found = pixels_of(path)
    assert len(found) == len(pages)
    for page, pixels in zip(pages, found, strict=True):
        assert np.abs(pixels.astype(int) - page / 257).max() <= 1
    with tifffile.TiffWriter(path) as writer:
        for page in (deep(16), deep(16)[::2, ::2]):
            writer.write(page, photometric="rgb", metadata=None)
    with pytest.raises(DatasetError) as refused:
        pixels_of(path)
    assert refused.value.code == "image_frames"


def test_a_mask_of_a_deep_picture_is_that_of_its_eight_bits(
    membrana: Membrana, tmp_path: Path
) -> None:
    said = {}
    for name, path in (
        ("eight", png(tmp_path / "eight.png", odd_tiffs.tissue())),
        ("deep", png(tmp_path / "deep.png", odd_tiffs.tissue().astype(np.uint16) * 257)),
        ("tiles", odd_tiffs.written(tmp_path / "tiles.tif", deep(16))),
    ):
        out = tmp_path / name
        done = membrana("segment", str(path), "-o", str(out), "--mpp", "0.25")
        assert done.code == 0, done.err
        [told] = json.loads(done.out)
        said[name] = np.asarray(Image.open(told["mask"]))
    assert said["eight"].any()
    assert np.array_equal(said["deep"], said["eight"])
    assert np.array_equal(said["tiles"], said["eight"])


def in_srgb(profile: bytes) -> np.ndarray:
    made = ImageCms.profileToProfile(
        Image.fromarray(odd_tiffs.tissue()),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    return np.asarray(made)


def coloured(path: Path, profile: bytes) -> Path:
    Image.fromarray(odd_tiffs.tissue()).save(path, icc_profile=profile, quality=95)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_a_set_to_train_on_follows_profiles_as_scores_do(tmp_path: Path, name: str) -> None:
    path = coloured(tmp_path / name, STEEP)
    [pixels] = pixels_of(path)
    assert np.array_equal(pixels, read_picture(path, 0.25).pixels)
    if name != "a.jpg":
        assert np.array_equal(pixels, in_srgb(STEEP))
    else:
        assert np.abs(pixels.astype(int) - odd_tiffs.tissue()).mean() > 5


def test_every_page_follows_its_own_profile(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as writer:
        for profile in (None, STEEP):
            writer.write(odd_tiffs.tissue(), photometric="rgb", metadata=None, iccprofile=profile)
    plain, steep = pixels_of(path)
    assert np.array_equal(plain, odd_tiffs.tissue())
    assert np.array_equal(steep, in_srgb(STEEP))


def test_the_commands_read_their_folders_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    coloured(tmp_path / "images" / "a.png", STEEP)
    tiff(tmp_path / "images" / "b.tif", 12)
    coloured(tmp_path / "images" / "c.png", BROKEN)
    for name in "abc":
        Image.new("L", (odd_tiffs.SIDE,) * 2, 255).save(tmp_path / "masks" / f"{name}.png")
    found = Folders(tmp_path / "images", tmp_path / "masks").read()
    firsts = [found.images[found.groups.index(name)] for name in "abc"]
    assert np.array_equal(firsts[0], in_srgb(STEEP)[:256, :256])
    assert np.abs(firsts[1].astype(int) - odd_tiffs.tissue()[:256, :256]).max() <= 1
    assert np.array_equal(firsts[2], odd_tiffs.tissue()[:256, :256])
    said = capsys.readouterr().err.strip().splitlines()
    assert [line.split(":")[0] for line in said] == ["c.png"]
    assert "colour profile that can't be followed" in said[0]
    assert said[0].endswith(f"({colour.UNUSABLE})")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp", "tiles.tif", "deep.tif"])
def test_a_broken_profile_is_named_in_words(membrana: Membrana, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name in {"tiles.tif", "deep.tif"}:
        pixels = deep(16) if name == "deep.tif" else None
        odd_tiffs.written(path, pixels, iccprofile=BROKEN)
    else:
        coloured(path, BROKEN)
    done = membrana("segment", str(path), "-o", str(tmp_path / "masks"), "--mpp", "0.25")
    assert done.code == 0, done.err
    assert "colour profile that can't be followed" in done.err
    [told] = json.loads(done.out)
    assert told["qc"] == [colour.UNUSABLE]
    sound = coloured(tmp_path / "sound.png", STEEP)
    again = membrana("segment", str(sound), "-o", str(tmp_path / "sound"), "--mpp", "0.25")
    assert (again.code, again.err) == (0, "")
    assert "qc" not in json.loads(again.out)[0]
