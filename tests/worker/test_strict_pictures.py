"""Damage is refused, never shown; deep and odd pixels are read right or refused."""

import io
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from backend.kit.errors import MembranaError
from backend.kit.geometry import Region0
from backend.slides.reading import tiff
from backend.slides.reading.damage import DamagedTile
from backend.slides.reading.reader import OpenSlideReader, RegionUnreadable, SlideUnreadable
from models.decoding import END_OF_IMAGE, PictureDamaged, check_jpeg_file
from tests.support import odd_tiffs
from worker import chunks
from worker.conversion import convert_picture
from worker.layout import layout_of
from worker.plain_pictures import rgb_of
from worker.silent_damage import check_tiles

MOST = 10**9


def refused(path: Path) -> MembranaError:
    """Convert and read a picture; both must refuse it alike and leave nothing."""
    target = path.with_name("out.tif")
    with pytest.raises(MembranaError) as conversion:
        convert_picture(
            path,
            target,
            layout=layout_of(path),
            mpp=None,
            most_pixels=MOST,
            watch=lambda _: True,
        )
    assert [each for each in path.parent.iterdir() if each != path] == []
    with pytest.raises(MembranaError) as reading:
        rgb_of(path, most_pixels=MOST)
    assert conversion.value.problem_code == reading.value.problem_code
    assert str(path.parent) not in conversion.value.detail
    return conversion.value


def test_a_jpeg_damaged_midway_is_no_picture(shared_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes((shared_data / "intake" / "damaged_d_base.jpg").read_bytes())
    why = refused(path)
    assert why.problem_code == "slide_unreadable"
    assert "JPEG" in why.detail


@pytest.mark.parametrize("quality", [70, 95])
@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"subsampling": 0}])
def test_flipped_bits_in_a_jpeg_are_heard(
    tmp_path: Path, quality: int, how: dict[str, object]
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(odd_tiffs.tissue()).save(buffer, "JPEG", quality=quality, **how)
    data = bytearray(buffer.getvalue())
    for number in range(30):
        data[len(data) // 2 + 5 * number] ^= 0x55
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert refused(path).problem_code == "slide_unreadable"


@pytest.mark.parametrize("padding", [b"", b"\xff", b"\xff\xff\xff", b"\0", b"\0\0\0\0"])
@pytest.mark.parametrize("unit", [0, 1, 3])
def test_padding_before_the_end_and_an_odd_unit_are_no_damage(
    tmp_path: Path, padding: bytes, unit: int
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(odd_tiffs.tissue()).save(buffer, "JPEG", quality=90)
    data = buffer.getvalue()
    assert data[6:11] == b"JFIF\0"
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:13] + bytes([unit]) + data[14:-2] + padding + data[-2:])
    assert rgb_of(path, most_pixels=MOST).shape == (512, 512, 3)


@pytest.mark.parametrize("padding", [b"", b"\0\0", b"\xff\xff"])
@pytest.mark.parametrize("how", [{}, {"progressive": True}])
def test_what_follows_a_jpeg_does_not_matter(
    tmp_path: Path, padding: bytes, how: dict[str, object]
) -> None:
    tissue = Image.fromarray(odd_tiffs.tissue())
    small, large = io.BytesIO(), io.BytesIO()
    tissue.resize((64, 64)).save(small, "JPEG")
    said = Image.Exif()
    said[0x010E] = "a small picture in the notes ends before the picture does"
    tissue.save(large, "JPEG", exif=said.tobytes() + small.getvalue(), **how)
    data = large.getvalue()
    assert data.count(END_OF_IMAGE) == 2
    path = tmp_path / "a.jpg"
    for behind in (b"", b"junk", END_OF_IMAGE * 3, bytes(100), small.getvalue()):
        path.write_bytes(data[:-2] + padding + data[-2:] + behind)
        check_jpeg_file(path)
    path.write_bytes(data[: len(data) // 2] + bytes(64) + data[len(data) // 2 + 64 :] + data)
    with pytest.raises(PictureDamaged):
        check_jpeg_file(path)


def test_what_follows_a_jpeg_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(odd_tiffs.tissue()).save(path)
    with path.open("r+b") as file:
        file.truncate(2**34)
    tracemalloc.start()
    try:
        assert rgb_of(path, most_pixels=MOST).shape == (512, 512, 3)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_a_tile_that_claims_more_pixels_than_a_tile_is_not_decoded(tmp_path: Path) -> None:
    path = odd_tiffs.compressed(tmp_path / "a.tif", "jpeg")
    data = path.read_bytes()
    head = b"\xff\xc0\0\x11\x08"
    assert data.count(head) == 4
    at = data.index(head) + len(head)
    path.write_bytes(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])
    assert len(check_tiles(path, OpenSlideReader(path))) == 1


@pytest.mark.parametrize("place", ["data", "checksum"])
def test_a_png_is_held_to_its_checksums(tmp_path: Path, place: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(odd_tiffs.tissue()).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[len(data) // 2 if place == "data" else data.rfind(b"IEND") - 5] ^= 1
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert refused(path).problem_code in {"slide_unreadable", "slide_truncated"}


@pytest.mark.parametrize("tile", [True, False])
@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize("compression", ["jpeg", "deflate"])
def test_a_damaged_tile_or_strip_is_heard(
    tmp_path: Path, compression: str, *, tile: bool, grey: bool
) -> None:
    path = odd_tiffs.compressed(tmp_path / "a.tif", compression, tile=tile, grey=grey)
    assert rgb_of(path, most_pixels=MOST).shape == (512, 512, 3)
    whole = path.read_bytes()
    for at in (0.3, 0.4, 0.5, 0.6):
        path.write_bytes(whole)
        why = refused(odd_tiffs.damaged(path, at=at, count=100))
        assert why.problem_code in {"slide_unreadable", "slide_truncated"}


def test_a_broken_webp_tile_is_no_black_square(tmp_path: Path) -> None:
    path = odd_tiffs.compressed(tmp_path / "a.tif", "webp")
    assert "WebP" in refused(odd_tiffs.damaged(path, at=0)).detail


def test_odd_tags_and_odd_profiles_are_no_damage(tmp_path: Path) -> None:
    path = odd_tiffs.written(
        tmp_path / "a.tif",
        extratags=[(65_000, "H", 1, 7, True), (34675, "B", 20, bytes(20), True)],
    )
    assert np.array_equal(rgb_of(path, most_pixels=MOST), odd_tiffs.tissue())
    buffer = io.BytesIO()
    Image.fromarray(odd_tiffs.tissue()).save(buffer, "PNG", icc_profile=b"no profile" * 30)
    path = tmp_path / "a.png"
    path.write_bytes(buffer.getvalue())
    assert np.array_equal(rgb_of(path, most_pixels=MOST), odd_tiffs.tissue())


@pytest.mark.parametrize(
    ("compression", "grey"), [("packbits", False), ("deflate", False), ("jpeg", True)]
)
def test_what_openslide_would_not_notice_is_looked_for(
    tmp_path: Path, compression: str, *, grey: bool
) -> None:
    path = odd_tiffs.compressed(tmp_path / "a.tif", compression, grey=grey)
    check_tiles(path, OpenSlideReader(path))
    odd_tiffs.damaged(path, count=60)
    with pytest.raises(SlideUnreadable, match="damaged"):
        check_tiles(path, OpenSlideReader(path))


@pytest.mark.parametrize("compression", ["jpeg", "none", "lzw", "deflate"])
def test_a_tile_that_is_not_there_is_named_and_not_read(tmp_path: Path, compression: str) -> None:
    path = odd_tiffs.compressed(tmp_path / "a.tif", compression)
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = file.pages[0].tags["TileByteCounts"]
        counts.overwrite([0 if number == 1 else each for number, each in enumerate(counts.value)])
    reader = OpenSlideReader(path)
    assert check_tiles(path, reader) == (DamagedTile(0, 256, 0, 256, 256),)


def test_a_jpeg_tile_beyond_the_files_end_is_damaged(tmp_path: Path) -> None:
    path = odd_tiffs.compressed(tmp_path / "a.tif", "jpeg")
    with tifffile.TiffFile(path, mode="r+b") as file:
        offsets = file.pages[0].tags["TileOffsets"]
        beyond = path.stat().st_size + 1000
        offsets.overwrite([beyond if at == 2 else each for at, each in enumerate(offsets.value)])
    assert list(damaged_in(path)) == [2]


def damaged_in(path: Path) -> Iterator[int]:
    """The numbers of the tiles of a file's only page that can't be decoded."""
    [page] = [page for page in tiff.pages(path) if page.is_tiled]
    return chunks.undecodable(chunks.stored(path, page), partial(chunks.check_jpeg, page=page))


@pytest.mark.parametrize("how", ["flipped", "zeroed", "left over"])
def test_damage_of_a_jpeg_tile_in_colours_is_named_and_not_read(tmp_path: Path, how: str) -> None:
    path = odd_tiffs.compressed(tmp_path / "a.tif", "jpeg")
    assert check_tiles(path, OpenSlideReader(path)) == ()
    with tifffile.TiffFile(path) as file:
        offset, length = (
            each[2] for each in (file.pages[0].dataoffsets, file.pages[0].databytecounts)
        )
    data = bytearray(path.read_bytes())
    if how == "flipped":
        odd_tiffs.damaged(path)
    else:
        # bits that decode to fewer blocks leave data over, of which libjpeg says nothing
        start = offset + length // 2
        piece = bytes(64) if how == "zeroed" else bytes([0b10101010] * 8)
        data[start : start + len(piece)] = piece
        path.write_bytes(data)
    reader = OpenSlideReader(path)
    reader.damaged = check_tiles(path, reader)
    assert reader.damaged == (DamagedTile(0, 0, 256, 256, 256),)
    assert reader.damaged_regions == [Region0(0, 256, 256, 256)]
    with pytest.raises(RegionUnreadable):
        reader.read(Region0(200, 200, 100, 100), (100, 100))
    with pytest.raises(RegionUnreadable):
        reader.read(Region0(0, 0, 512, 512), (64, 64))
    assert reader.read(Region0(256, 0, 256, 512), (256, 512)).shape == (512, 256, 3)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_declared_depth_is_scaled_to_white(
    tmp_path: Path, bits: int, compression: str | None
) -> None:
    top = 2**bits - 1
    deep = np.round(odd_tiffs.tissue() / 255 * top).astype(np.uint16)
    path = odd_tiffs.written(
        tmp_path / "a.tif",
        deep,
        compression=compression,
        extratags=[(281, "H", 3, (top,) * 3, True)],
    )
    read = rgb_of(path, most_pixels=MOST)
    assert np.abs(read.astype(int) - odd_tiffs.tissue()).max() <= 1


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("kind", ["tiff", "png"])
def test_an_undeclared_depth_is_refused_never_black(tmp_path: Path, bits: int, kind: str) -> None:
    grey = odd_tiffs.tissue()[..., 1]
    deep = np.round(grey / 255 * (2**bits - 1)).astype(np.uint16)
    path = tmp_path / f"a.{kind}"
    if kind == "tiff":
        odd_tiffs.written(path, deep)
    else:
        Image.fromarray(deep).save(path)
    why = refused(path)
    assert (why.problem_code, "16 bits" in why.detail) == ("unsupported_pixels", True)


def test_a_depth_that_its_values_belie_is_refused(tmp_path: Path) -> None:
    deep = odd_tiffs.tissue().astype(np.uint16) * 257
    path = odd_tiffs.written(tmp_path / "a.tif", deep, extratags=[(281, "H", 1, 4095, True)])
    assert refused(path).problem_code == "unsupported_pixels"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_as_nothing_is_turned(tmp_path: Path, dtype: type) -> None:
    grey = odd_tiffs.tissue()[..., 1]
    stored = np.iinfo(dtype).max - grey.astype(np.int64) * (257 if dtype is np.uint16 else 1)
    path = odd_tiffs.written(
        tmp_path / "a.tif", stored.astype(dtype), photometric="miniswhite", tile=None
    )
    read = rgb_of(path, most_pixels=MOST)
    assert np.abs(read[..., 0].astype(int) - grey).max() <= 1


def test_a_palette_shows_its_colours(tmp_path: Path) -> None:
    indexed = Image.fromarray(odd_tiffs.tissue()).quantize(64)
    for kind in ("TIFF", "PNG"):
        path = tmp_path / f"a.{kind.lower()}"
        indexed.save(path)
        assert np.array_equal(rgb_of(path, most_pixels=MOST), np.asarray(indexed.convert("RGB")))


def test_ycbcr_without_jpeg_is_refused(tmp_path: Path) -> None:
    """libvips would take its luma for red."""
    path = tmp_path / "a.tif"
    ycbcr = np.asarray(Image.fromarray(odd_tiffs.tissue()).convert("YCbCr"))
    tifffile.imwrite(path, ycbcr, photometric="ycbcr", subsampling=(1, 1), metadata=None)
    assert refused(path).problem_code == "unsupported_pixels"


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_are_no_colours_of_a_microscope(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    Image.fromarray(odd_tiffs.tissue()).convert("CMYK").save(path, kind)
    assert refused(path).problem_code == "unsupported_pixels"


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_one_bit_holds_no_stain(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    Image.fromarray(odd_tiffs.tissue()).convert("1").save(path, kind)
    assert refused(path).problem_code == "unsupported_pixels"


def test_a_palette_of_two_colours_is_one_bit_too(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(odd_tiffs.tissue()).quantize(2).save(path, bits=1)
    assert path.read_bytes()[24:26] == bytes([1, 3])
    assert refused(path).problem_code == "unsupported_pixels"


@pytest.mark.parametrize(
    ("data", "offset"), [(b"junk" * 9, 0), (bytes(64), 0), (b"\xff" * 40, 100)]
)
@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "jpeg", "webp", "packbits"])
def test_a_person_hears_no_function_of_a_library(
    tmp_path: Path, compression: str, data: bytes, offset: int
) -> None:
    path = odd_tiffs.compressed(tmp_path / "a.tif", compression, tile=False)
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[0] + offset
    content = bytearray(path.read_bytes())
    content[start : start + len(data)] = data
    path.write_bytes(content[: start + 2 * len(data)] if compression == "none" else content)
    try:
        rgb_of(path, most_pixels=MOST)
    except MembranaError as why:
        words = why.detail
        assert not any(each in words for each in ("2vips", "()", "Error -", "“”", "none says"))
