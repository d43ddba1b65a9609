"""Which pixel size a file says: with its unit, square, a microscope's, and not contradicted."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from tests.support.turned import exif
from worker.layout import layout_of
from worker.ome import pixel_sizes
from worker.pixel_size import by_scanner, pixel_size

PIXELS = np.full((48, 64, 3), 200, np.uint8)
OME = '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="x"><Image><Pixels {}/></Image></OME>'
SIZES = 'SizeX="64" SizeY="48"'
PER_CM = 40_000


def said(path: Path) -> float | None:
    layout = layout_of(path)
    return pixel_size(None, layout.shown, layout.description).mpp


def doubt(path: Path) -> str:
    layout = layout_of(path)
    return pixel_size(None, layout.shown, layout.description).doubt


def tiff(path: Path, **options: object) -> Path:
    tifffile.imwrite(path, PIXELS, photometric="rgb", metadata=None, **options)
    return path


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("unit", "number", "size"),
    [(1, PER_CM, None), (2, 101_600, 0.25), (3, PER_CM, 0.25), (3, 900, None), (3, 1000, 10.0)],
)
def test_a_tiffs_number_counts_with_its_unit_only(
    tmp_path: Path, unit: int, number: int, size: float | None, *, big: bool, order: str
) -> None:
    how = {"resolution": (number, number), "resolutionunit": unit}
    path = tiff(tmp_path / "a.tif", bigtiff=big, byteorder=order, **how)
    assert said(path) == (pytest.approx(size) if size else None)
    if unit == 1:
        assert "no unit" in doubt(path)


def test_a_tiff_that_names_no_unit_at_all_says_none(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(PIXELS).save(path, x_resolution=PER_CM, y_resolution=PER_CM)
    assert said(path) is None


def test_pixels_that_are_not_square_have_no_size(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", resolution=(PER_CM, 20_000), resolutionunit=3)
    assert said(path) is None
    assert "0.25 µm wide and 0.5 µm high" in doubt(path)


def png(path: Path, across: int, down: int, unit: int, turned: int = 1) -> Path:
    """Write a PNG whose pHYs chunk says this."""
    packed = io.BytesIO()
    Image.fromarray(PIXELS).save(packed, "PNG", exif=exif(turned))
    content = packed.getvalue()
    chunk = io.BytesIO()
    sides = across.to_bytes(4, "big") + down.to_bytes(4, "big")
    PngImagePlugin.putchunk(chunk, b"pHYs", sides, bytes([unit]))
    # behind the header, which is 33 bytes with the signature
    path.write_bytes(content[:33] + chunk.getvalue() + content[33:])
    return path


@pytest.mark.parametrize(
    ("across", "down", "unit", "size"),
    [
        (4_000_000, 4_000_000, 1, 0.25),
        (4_000_000, 4_000_000, 0, None),
        (1, 1, 0, None),
        (4_000_000, 2_000_000, 1, None),
        (2_835, 2_835, 1, None),
        (90_000, 90_000, 1, None),
    ],
)
def test_a_pngs_number_counts_in_metres_only(
    tmp_path: Path, across: int, down: int, unit: int, size: float | None
) -> None:
    for turned in (1, 6):
        path = png(tmp_path / f"{turned}.png", across, down, unit, turned)
        assert said(path) == (pytest.approx(size) if size else None)


def jpeg(path: Path, jfif: tuple[int, int, int] | None, **tags: float) -> Path:
    """Write a JPEG whose JFIF head says unit and density, and whose EXIF says these tags."""
    packed = io.BytesIO()
    how = {"exif": exif(1, **tags)} if tags else {}
    Image.fromarray(PIXELS).save(packed, "JPEG", dpi=(72, 72), **how)
    content = packed.getvalue()
    at = content.index(b"JFIF\0") + 7
    unit, across, down = jfif or (0, 1, 1)
    head = bytes([unit]) + across.to_bytes(2, "big") + down.to_bytes(2, "big")
    path.write_bytes(content[:at] + head + content[at + 5 :])
    return path


@pytest.mark.parametrize(
    ("jfif", "tags", "size"),
    [
        ((2, 40_000, 40_000), {}, 0.25),
        ((0, 40_000, 40_000), {}, None),
        ((1, 300, 300), {}, None),
        ((0, 1, 1), {"x": 40_000.0, "y": 40_000.0, "unit": 3}, 0.25),
        ((0, 1, 1), {"x": 40_000.0, "y": 40_000.0, "unit": 1}, None),
        ((0, 1, 1), {"x": 300.0, "y": 300.0, "unit": 1}, None),
        ((0, 1, 1), {"x": 40_000.0, "y": 40_000.0}, None),
        ((0, 1, 1), {"x": 40_000.0, "y": 20_000.0, "unit": 3}, None),
        ((0, 1, 2), {"x": 40_000.0, "y": 40_000.0, "unit": 3}, None),
        ((2, 40_000, 40_000), {"x": 40_000.0, "y": 40_000.0, "unit": 3}, 0.25),
        ((2, 40_000, 40_000), {"x": 20_000.0, "y": 20_000.0, "unit": 3}, None),
        ((1, 72, 72), {"x": 40_000.0, "y": 40_000.0, "unit": 3}, None),
    ],
)
def test_a_jpegs_two_heads_must_agree(
    tmp_path: Path, jfif: tuple[int, int, int], tags: dict[str, float], size: float | None
) -> None:
    path = jpeg(tmp_path / "a.jpg", jfif, **tags)
    assert said(path) == (pytest.approx(size, rel=1e-3) if size else None)


def ome(attributes: str) -> str:
    return OME.format(f"{SIZES} {attributes}")


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('PhysicalSizeX="0.325" PhysicalSizeY="0.325"', 0.325),
        (
            'PhysicalSizeXUnit="µm" PhysicalSizeYUnit="µm" PhysicalSizeY=".5" PhysicalSizeX=".5"',
            0.5,
        ),
        ('PhysicalSizeX="0.25"\n  PhysicalSizeXUnit="&#181;m"\n PhysicalSizeY="0.25"', 0.25),
        ('PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.25"', 0.25),
        ("PhysicalSizeX='2.5e-4' PhysicalSizeXUnit='mm'", 0.25),
        ('PhysicalSizeX="2.5e-5" PhysicalSizeXUnit="cm"', 0.25),
        ('PhysicalSizeX="2500" PhysicalSizeXUnit="Å"', 0.25),
        ('PhysicalSizeX="2500" PhysicalSizeXUnit="\N{ANGSTROM SIGN}"', 0.25),
        ('PhysicalSizeX="0.00001" PhysicalSizeXUnit="in"', 0.254),
        ('PhysicalSizeX="2.5e-7" PhysicalSizeXUnit="m"', 0.25),
        ('PhysicalSizeX="250000" PhysicalSizeXUnit="pm"', 0.25),
        ('PhysicalSizeX="0.25" PhysicalSizeXUnit="\N{GREEK SMALL LETTER MU}m"', 0.25),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1"', None),
        ('PhysicalSizeX="0.25" PhysicalSizeXUnit="reference frame"', None),
        ('PhysicalSizeX="0.25" PhysicalSizeY="1" PhysicalSizeYUnit="pixel"', None),
        ('PhysicalSizeX="0.25" PhysicalSizeY="0.5"', None),
        ('PhysicalSizeX="0.25" PhysicalSizeXUnit="mm"', None),
        ('PhysicalSizeX="nan"', None),
        ('PhysicalSizeX="-0.25"', None),
        ('PhysicalSizeX="1e999"', None),
        ("", None),
    ],
)
def test_an_ome_description_is_read_by_its_words(
    tmp_path: Path, attributes: str, size: float | None
) -> None:
    path = tiff(tmp_path / "a.tif", description=ome(attributes).encode())
    assert said(path) == (pytest.approx(size) if size else None)


def test_ome_goes_before_a_printers_resolution_and_not_before_another_microscopes(
    tmp_path: Path,
) -> None:
    text = ome('PhysicalSizeX="0.25" PhysicalSizeY="0.25"').encode()
    for unit, number, size in ((2, 72, 0.25), (1, 300, 0.25), (3, PER_CM, 0.25), (3, 20_000, None)):
        how = {"resolution": (number, number), "resolutionunit": unit}
        assert said(tiff(tmp_path / "a.tif", description=text, **how)) == size


def test_of_several_ome_images_the_one_of_the_pictures_size_counts() -> None:
    text = (
        '<OME><Image><Pixels SizeX="8" SizeY="6" PhysicalSizeX="2"/></Image>'
        '<Image><Pixels SizeX="64" SizeY="48" PhysicalSizeX="0.25"/></Image></OME>'
    )
    assert pixel_sizes(text, 64, 48) == [(0.25, 0.25)]
    assert pixel_sizes(text, 32, 24) == []


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE OME [<!ENTITY a "0.25">]><OME><Pixels PhysicalSizeX="&a;"/></OME>',
        '<!DOCTYPE OME SYSTEM "file:///etc/passwd"><OME><Pixels PhysicalSizeX="0.25"/></OME>',
        '<OME><Pixels PhysicalSizeX="0.25"></OME>',
        'PhysicalSizeX="0.25"',
        "<" * 100_000,
        "<a>" * 100_000,
        "<a>" * 500_000 + "</a>" * 500_000,
        '<OME><Pixels PhysicalSizeX="0.25"/></OME>' + " " * 5_000_000 + "x",
    ],
)
def test_a_description_that_is_no_plain_xml_says_nothing(text: str) -> None:
    assert pixel_sizes(text, 64, 48) == []


@pytest.mark.parametrize(
    ("across", "down", "size"),
    [
        ("0.25", "0.25", 0.25),
        ("0.2528", "0.2526", 0.2527),
        ("0.25", "0.5", None),
        ("0.0001", "0.0001", None),
        ("1000", "1000", None),
        ("352.7777", "352.7777", None),
        ("21.1666", "21.1666", None),
        ("nan", "nan", None),
        ("-0.25", "-0.25", None),
        ("0,25", "0,25", None),
        (None, None, None),
    ],
)
def test_only_a_microscopes_pixel_size_is_believed(
    across: str | None, down: str | None, size: float | None
) -> None:
    told = {"openslide.mpp-x": across, "openslide.mpp-y": down}
    found = by_scanner({key: value for key, value in told.items() if value is not None}).mpp
    assert found == (pytest.approx(size) if size else None)
