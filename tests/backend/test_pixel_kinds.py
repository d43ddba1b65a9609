"""What a TIFF says of its pixels, and which of it this build reads right."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from backend.slides.reading import pixel_kinds, tiff
from backend.slides.reading.pixel_kinds import UnsupportedCompression, UnsupportedPixels
from backend.slides.reading.tiff import Tag
from models import decoding
from tests.support import odd_tiffs

SAVED_AS = {1: "none", 5: "lzw", 7: "jpeg", 8: "deflate", 32773: "packbits", 50001: "webp"}
ALIKE = {32946: 8}
"""Deflate has two numbers."""


def test_every_compression_taken_is_decoded_by_this_build(tmp_path: Path) -> None:
    assert set(SAVED_AS) | set(ALIKE) == set(pixel_kinds.DECODED)
    for number in sorted(pixel_kinds.DECODED):
        for tile in (True, False):
            path = odd_tiffs.compressed(
                tmp_path / "a.tif", SAVED_AS[ALIKE.get(number, number)], tile=tile
            )
            odd_tiffs.said(path, Compression=number)
            assert tiff.pages(path)[0].whole(Tag.COMPRESSION) == number
            pixel_kinds.check(path)
            read = decoding.opened(path).numpy()
            assert np.abs(read.astype(int) - odd_tiffs.tissue()).mean() < 5, number


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (2, "CCITT RLE"),
        (4, "CCITT Group 4"),
        (6, "old-style JPEG"),
        (22610, "JPEG XR"),
        (33003, "JPEG 2000"),
        (33004, "JPEG 2000"),
        (34661, "JBIG"),
        (34712, "JPEG 2000"),
        (34887, "LERC"),
        (34925, "LZMA"),
        (34934, "JPEG XR"),
        (50000, "ZSTD"),
        (50002, "JPEG XL"),
        (52546, "JPEG XL"),
        (61234, "unknown"),
    ],
)
@pytest.mark.parametrize("tile", [(256, 256), None])
def test_any_other_compression_is_refused_by_its_name(
    tmp_path: Path, number: int, name: str, tile: tuple[int, int] | None
) -> None:
    path = odd_tiffs.said(odd_tiffs.written(tmp_path / "a.tif", tile=tile), Compression=number)
    with pytest.raises(UnsupportedCompression, match=name) as refused:
        pixel_kinds.check(path)
    assert refused.value.problem_code == "unsupported_compression"
    assert str(number) in refused.value.detail


def test_aperios_own_jpeg_2000_is_openslides(tmp_path: Path) -> None:
    path = odd_tiffs.said(odd_tiffs.written(tmp_path / "a.svs"), Compression=33005)
    pixel_kinds.check(path, "aperio")
    with pytest.raises(UnsupportedCompression):
        pixel_kinds.check(path, "generic-tiff")


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((300, 300, 3), np.float32), "floating-point"),
        (np.zeros((300, 300, 3), np.int16), "signed"),
        (np.zeros((300, 300, 3), np.int8), "signed"),
        (np.zeros((300, 300), np.complex64), "complex"),
        (np.zeros((300, 300, 3), np.uint32), "32 bits"),
        (np.zeros((300, 300), np.bool_), "one bit"),
    ],
)
def test_numbers_that_are_no_pixels_are_refused(
    tmp_path: Path, pixels: np.ndarray, words: str
) -> None:
    path = odd_tiffs.written(tmp_path / "a.tif", pixels)
    with pytest.raises(UnsupportedPixels, match=words):
        pixel_kinds.check(path)


@pytest.mark.parametrize("colours", [4, 5, 8, 9, 32803, 34892, 777])
def test_colours_that_are_no_microscopes_are_refused(tmp_path: Path, colours: int) -> None:
    path = odd_tiffs.said(odd_tiffs.written(tmp_path / "a.tif"), PhotometricInterpretation=colours)
    with pytest.raises(UnsupportedPixels, match="RGB"):
        pixel_kinds.check(path)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_pages_are_read_of_every_layout(tmp_path: Path, byteorder: str, *, bigtiff: bool) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=bigtiff, byteorder=byteorder) as file:
        for side in (512, 256, 128):
            file.write(
                odd_tiffs.tissue(side),
                photometric="rgb",
                tile=(128, 128),
                description=f"level of {side}",
                metadata=None,
            )
    pages = tiff.pages(path)
    assert [page.whole(Tag.WIDTH) for page in pages] == [512, 256, 128]
    assert [page.text(Tag.DESCRIPTION) for page in pages][1] == "level of 256"
    assert pages[0].numbers(Tag.BITS) == (8, 8, 8)
    assert len(pages[0].numbers(Tag.TILE_OFFSETS)) == 16
    pixel_kinds.check(path)


def test_a_directory_full_of_lies_is_read_without_harm(tmp_path: Path) -> None:
    path = odd_tiffs.written(tmp_path / "a.tif")
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(3)
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].offset
    for _ in range(300):
        spoilt = bytearray(data)
        for at in random.integers(start, min(start + 200, len(data)), 6):
            spoilt[at] = random.integers(0, 256)
        path.write_bytes(spoilt)
        for page in tiff.pages(path):
            assert page.pixels >= 0


@pytest.mark.parametrize(
    ("tags", "bits"),
    [
        ([(281, "H", 3, (4095, 4095, 4095), True)], 12),
        ([(281, "H", 3, (1023, 1023, 1023), True)], 10),
        ([(341, "H", 1, 16383, True)], 14),
        ([(281, "H", 1, 65535, True)], 16),
        ([(281, "H", 1, 3801, True)], None),
        ([(281, "H", 1, 4095, True), (341, "H", 1, 1023, True)], None),
        ([(270, "s", 0, '<OME><Pixels SignificantBits="12" SizeC="3"/></OME>', True)], 12),
        ([], None),
    ],
)
def test_how_many_bits_are_used_is_heard_only_where_it_is_plain(
    tmp_path: Path, tags: list[tuple[object, ...]], bits: int | None
) -> None:
    path = odd_tiffs.written(
        tmp_path / "a.tif", odd_tiffs.tissue().astype(np.uint16) * 16, extratags=tags
    )
    assert pixel_kinds.is_deep(path)
    assert pixel_kinds.declared_bits(path) == bits


@pytest.mark.parametrize(
    ("how", "vendor", "refused"),
    [
        ({"said": {"Compression": 7}}, "generic-tiff", True),
        ({"said": {"Compression": 32773}}, "generic-tiff", True),
        ({"compression": "zlib"}, "generic-tiff", False),
        ({"compression": "zlib"}, None, True),
        ({}, "generic-tiff", False),
        ({"extratags": [(274, "H", 1, 6, True)]}, "generic-tiff", True),
        ({"tile": None, "extratags": [(274, "H", 1, 6, True)]}, None, False),
    ],
)
def test_tiles_of_one_colour_each_are_refused_where_nobody_reads_them(
    tmp_path: Path, how: dict[str, object], vendor: str | None, *, refused: bool
) -> None:
    planes = np.moveaxis(odd_tiffs.tissue(), -1, 0).copy()
    path = tmp_path / "a.tif"
    options: dict[str, object] = {"photometric": "rgb", "planarconfig": "separate", **how}
    said = options.pop("said", {})
    tifffile.imwrite(path, planes, **{"tile": (256, 256), "metadata": None, **options})
    odd_tiffs.said(path, **said)
    if refused:
        with pytest.raises(UnsupportedPixels, match="apart"):
            pixel_kinds.check(path, vendor)
    else:
        pixel_kinds.check(path, vendor)
