"""An orientation that is said in an unusual place is heard by every door, or by none."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from backend.kit.errors import MembranaError
from models.study import files
from tests.support.turned import SURE, exif, picture, stored
from worker.commands.image_files import read_picture
from worker.plain_pictures import rgb_of

MOST = 10**9
TIFF_XMP = 700
SAID = {
    "attribute": ' tiff:Orientation="{}"/>',
    "quotes": " tiff:Orientation='{}'/>",
    "spaces": ' tiff:Orientation = "{}" />',
    "element": "><tiff:Orientation>{}</tiff:Orientation></rdf:Description>",
}


def xmp(how: str, orientation: int) -> bytes:
    said = SAID[how].format(orientation)
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        f'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"{said}</rdf:RDF></x:xmpmeta>'
    ).encode()


def raw_profile(orientation: int) -> str:
    """EXIF as ImageMagick writes it into a PNG: in hexadecimal lines."""
    packed = exif(orientation).tobytes()
    packed = packed if packed.startswith(b"Exif") else b"Exif\0\0" + packed
    digits = packed.hex()
    lines = [digits[start : start + 72] for start in range(0, len(digits), 72)]
    return "\n".join(["", "exif", f"{len(packed):8d}", *lines, ""])


def options_of(kind: str, how: str, tag: int | None, orientation: int) -> dict[str, Any]:
    """Return how Pillow writes a picture whose EXIF says `tag`, and another place the truth."""
    packet = xmp(how, orientation)
    if kind == "TIFF":
        return {"tiffinfo": {TIFF_XMP: packet} | ({} if tag is None else {274: tag})}
    found: dict[str, Any] = {} if tag is None else {"exif": exif(tag)}
    if kind == "PNG":
        said = PngInfo()
        said.add_itxt("XML:com.adobe.xmp", packet.decode())
        return found | {"pnginfo": said}
    return found | {"xmp": packet, "quality": 95, "subsampling": 0}


def all_doors(path: Path) -> list[np.ndarray]:
    return [
        rgb_of(path, most_pixels=MOST),
        read_picture(path, 0.25).pixels,
        files.as_pixels(files.opened(path), path),
    ]


def shows(path: Path, wanted: np.ndarray) -> None:
    for pixels in all_doors(path):
        assert pixels.shape == wanted.shape
        assert np.abs(pixels.astype(int) - wanted).max() <= SURE


# libtiff reads no file whose tag is no orientation
NO_TAG = [(kind, tag) for kind in ("JPEG", "PNG") for tag in (None, 0, 9)] + [("TIFF", None)]


@pytest.mark.parametrize("orientation", [2, 6])
@pytest.mark.parametrize(("kind", "tag"), NO_TAG)
def test_xmp_is_heard_where_the_tag_is_none(
    tmp_path: Path, kind: str, tag: int | None, orientation: int
) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    for how in SAID:
        packed = io.BytesIO()
        lies = np.ascontiguousarray(stored(picture(), orientation))
        Image.fromarray(lies).save(packed, kind, **options_of(kind, how, tag, orientation))
        path.write_bytes(packed.getvalue())
        shows(path, picture())
        assert "turned_upright" in read_picture(path, 0.25).qc


@pytest.mark.parametrize("tag", [0, 9])
def test_a_tiff_whose_tag_is_no_orientation_is_refused_alike(tmp_path: Path, tag: int) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(picture()).save(path, **options_of("TIFF", "attribute", tag, 6))
    for read in (lambda: rgb_of(path, most_pixels=MOST), lambda: read_picture(path, 0.25)):
        with pytest.raises(MembranaError) as refused:
            read()
        assert refused.value.problem_code == "slide_unreadable"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_tag_goes_before_xmp(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    for tag in (1, 3):
        lies = np.ascontiguousarray(stored(picture(), tag))
        Image.fromarray(lies).save(path, kind, **options_of(kind, "attribute", tag, 6))
        shows(path, picture())


@pytest.mark.parametrize("orientation", [3, 4, 6])
@pytest.mark.parametrize("name", ["exif", "APP1"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_raw_profile_of_a_png_is_heard(
    tmp_path: Path, orientation: int, name: str, *, packed: bool
) -> None:
    said = PngInfo()
    said.add_text(f"Raw profile type {name}", raw_profile(orientation), zip=packed)
    path = tmp_path / "a.png"
    Image.fromarray(np.ascontiguousarray(stored(picture(), orientation))).save(path, pnginfo=said)
    shows(path, picture())


def test_pages_that_are_turned_each_its_own_way_are_upright(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    first, second = (
        Image.fromarray(np.ascontiguousarray(stored(picture(), orientation)))
        for orientation in (6, 3)
    )
    second.encoderinfo = {"tiffinfo": {274: 3}}
    first.save(
        path,
        save_all=True,
        append_images=[second],
        tiffinfo={TIFF_XMP: xmp("quotes", 6)},
    )
    for page in files.frames(path):
        assert np.array_equal(np.asarray(page), picture())
