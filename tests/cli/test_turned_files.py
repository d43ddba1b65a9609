"""Commands on files see the picture that the service shows: upright, with masks that fit it."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from backend.kit.errors import MembranaError
from models.study import dataset, files
from models.study.files import DatasetError
from tests.cli.conftest import Membrana
from tests.support.turned import (
    LOSSY,
    ORIENTATIONS,
    PLAIN,
    SURE,
    TILED,
    exif,
    file_of,
    picture,
    stored,
)
from worker.commands.image_files import read_picture
from worker.commands.mask_files import mask_of
from worker.commands.options import Refused

PYRAMIDS = [name for name in TILED if "pyramid" in name]
NOT_PILLOWS = ("big_motorola",)
"""Pillow reads no BigTIFF of this byte order, and refuses it."""


def put(folder: Path, content: bytes, container: str) -> Path:
    kind = {"png": "png", "jpeg": "jpg"}.get(container, "tif")
    path = folder / f"picture.{kind}"
    path.write_bytes(content)
    return path


def kinds(*left: str) -> list[str]:
    return [each for each in (*PLAIN, *TILED) if each not in left]


@pytest.mark.parametrize("container", kinds())
def test_every_orientation_is_read_upright(tmp_path: Path, container: str) -> None:
    upright = picture()
    for orientation in ORIENTATIONS:
        path = put(tmp_path, file_of(upright, orientation, container), container)
        found = read_picture(path, 0.25)
        difference = np.abs(found.pixels.astype(int) - upright).max()
        assert difference <= (SURE if container in LOSSY else 0), f"{container} {orientation}"
        assert ("turned_upright" in found.qc) is (orientation != 1)


@pytest.mark.parametrize("container", kinds(*NOT_PILLOWS, *PYRAMIDS))
def test_a_set_to_train_on_is_read_upright(tmp_path: Path, container: str) -> None:
    upright = picture()
    for orientation in ORIENTATIONS:
        path = put(tmp_path, file_of(upright, orientation, container), container)
        shown = files.as_pixels(files.opened(path), path)
        difference = np.abs(shown.astype(int) - upright).max()
        assert difference <= (SURE if container in LOSSY else 0), f"{container} {orientation}"


@pytest.mark.parametrize("container", NOT_PILLOWS)
def test_what_can_not_be_trained_on_is_refused(tmp_path: Path, container: str) -> None:
    path = put(tmp_path, file_of(picture(), 6, container), container)
    with pytest.raises(DatasetError) as refused:
        files.opened(path)
    assert refused.value.code == "image_unreadable"


def drawn() -> np.ndarray:
    """A mask of the picture that no turn leaves as it is."""
    mask = np.zeros(picture().shape[:2], np.uint8)
    mask[10:40, 20:90] = 255
    return mask


def mask_file(path: Path, pixels: np.ndarray, orientation: int) -> None:
    if path.suffix == ".tif":
        tag = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, pixels, photometric="minisblack", metadata=None, extratags=tag)
    else:
        Image.fromarray(pixels).save(path, exif=exif(orientation))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_mask_fits_upright_whether_it_is_stored_so_or_turned_like_its_picture(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    image = read_picture(put(tmp_path, file_of(picture(), orientation, "png"), "png"), 0.25)
    path = tmp_path / f"mask{suffix}"
    rgb = np.dstack([drawn()] * 3)
    for pixels, own in ((drawn(), 1), (stored(rgb, orientation)[..., 0], orientation)):
        mask_file(path, np.ascontiguousarray(pixels), own)
        found = mask_of(image, {"picture": path}, "255")
        assert np.array_equal(found.membrane, drawn() == 255)


def test_a_mask_of_the_picture_as_it_lies_is_refused_in_words(tmp_path: Path) -> None:
    image = read_picture(put(tmp_path, file_of(picture(), 6, "jpeg"), "jpeg"), 0.25)
    path = tmp_path / "mask.png"
    mask_file(path, np.rot90(drawn()), 1)
    with pytest.raises(Refused, match="stored turned: masks fit it as it is shown") as refused:
        mask_of(image, {"picture": path}, "255")
    assert refused.value.problem_code == "mask_mismatch"


def test_a_set_of_turned_images_and_upright_masks_fits(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for orientation in ORIENTATIONS:
        image = tmp_path / "images" / f"{orientation}.tif"
        image.write_bytes(file_of(picture(), orientation, "strips"))
        mask_file(tmp_path / "masks" / f"{orientation}.png", drawn(), 1)
    found = dataset.read(tmp_path / "images", tmp_path / "masks", positive="255")
    per_image = len(found.images) // len(ORIENTATIONS)
    for images in (found.images, found.masks):
        first = images[:per_image]
        for number in range(len(ORIENTATIONS)):
            assert np.array_equal(images[number * per_image : (number + 1) * per_image], first)


def test_the_masks_that_segment_draws_have_the_size_that_the_service_shows(
    membrana: Membrana, shared_data: Path, tmp_path: Path
) -> None:
    turned = [
        shared_data / "intake" / name for name in ("field_exif6.jpg", "orient4_tiled_jpeg.tif")
    ]
    said = membrana("segment", *map(str, turned), "-o", str(tmp_path / "out"), "--mpp", "0.25")
    assert said.code == 0, said.err
    sizes = [(each["width"], each["height"], each["qc"]) for each in json.loads(said.out)]
    assert sizes == [(768, 1024, ["turned_upright"]), (1024, 768, ["turned_upright"])]
    for path, (width, height, _) in zip(turned, sizes, strict=True):
        with Image.open(tmp_path / "out" / f"{path.stem}.png") as mask:
            assert mask.size == (width, height)
        assert f"{path.name}: it is stored turned" in said.err


def test_segment_reads_the_pixel_size_that_the_service_reads(
    membrana: Membrana, shared_data: Path, tmp_path: Path
) -> None:
    packed = io.BytesIO()
    per_metre = 4_000_000
    field = Image.fromarray(picture())
    field.save(packed, "PNG", dpi=(per_metre * 0.0254, per_metre * 0.0254))
    (tmp_path / "known.png").write_bytes(packed.getvalue())
    unknown = shared_data / "intake" / "exif_unit_none_300.jpg"
    out = str(tmp_path / "out")
    said = membrana("segment", str(tmp_path / "known.png"), str(unknown), "-o", out)
    known, asked = json.loads(said.out)
    assert known["mpp"] == pytest.approx(0.25, rel=1e-4)
    assert asked["problem"]["code"] == "mpp_missing"
    assert "no unit" in asked["problem"]["detail"]
    assert "Give --mpp" in asked["problem"]["detail"]


def test_pictures_left_out_are_told_or_refused(tmp_path: Path) -> None:
    small, large = np.full((64, 64, 3), 9, np.uint8), picture()
    path = tmp_path / "a.tif"
    tile = {"tile": (64, 64)}
    for first, second in (((small, tile), (large, tile)), ((small, tile), (large, {}))):
        with tifffile.TiffWriter(path) as writer:
            for pixels, how in (first, second):
                writer.write(pixels, photometric="rgb", metadata=None, **how)
        found = read_picture(path, 0.25)
        assert np.array_equal(found.pixels, large)
        assert found.qc == ("pictures_left_out",)
    with tifffile.TiffWriter(path) as writer:
        writer.write(small, photometric="rgb", metadata=None, subifds=1)
        writer.write(large, photometric="rgb", metadata=None)
    found = read_picture(path, 0.25)
    assert np.array_equal(found.pixels, large)
    assert found.qc == ("pictures_left_out",)
    with tifffile.TiffWriter(path) as writer:
        for number in range(2):
            writer.write(large + np.uint8(number), photometric="rgb", metadata=None)
    with pytest.raises(MembranaError) as refused:
        read_picture(path, 0.25)
    assert refused.value.problem_code == "image_frames"


@pytest.mark.parametrize("how", [{}, {"tile": (64, 64)}], ids=["strips", "tiles"])
@pytest.mark.parametrize("meaning", ["unspecified", "unassalpha"])
def test_a_fourth_channel_of_zeros_hides_nothing(tmp_path: Path, how: dict, meaning: str) -> None:
    path = tmp_path / "a.tif"
    four = np.dstack([picture(), np.zeros(picture().shape[:2], np.uint8)])
    tifffile.imwrite(path, four, photometric="rgb", extrasamples=[meaning], **how)
    assert np.array_equal(read_picture(path, 0.25).pixels, picture())
