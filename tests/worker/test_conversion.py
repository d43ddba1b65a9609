"""Pictures and slides without levels, converted in a stream; what a file says of its pixels."""

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from backend.kit.errors import MembranaError
from backend.kit.geometry import Region0
from backend.slides.reading.formats import ImageTooLarge
from backend.slides.reading.reader import OpenSlideReader, RegionUnreadable, SlideUnreadable
from worker.conversion import convert_picture, convert_slide, has_usable_levels
from worker.layout import layout_of
from worker.plain_pictures import look_into
from worker.vips_progress import ConversionStopped, Watch

MOST = 4_000_000_000


def converted(path: Path, target: Path, watch: Watch = lambda _: True) -> None:
    layout = layout_of(path)
    convert_picture(path, target, layout=layout, mpp=None, most_pixels=MOST, watch=watch)


def bomb(width: int, height: int, *, interlaced: bool = False) -> bytes:
    """A PNG whose head promises many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    head = chunk(b"IHDR", size + bytes([8, 2, 0, 0, int(interlaced)]))
    rest = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + rest


def test_an_interlaced_picture_has_a_lower_bound(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(10_000, 10_000, interlaced=True))
    with pytest.raises(ImageTooLarge, match="interlaced"):
        look_into(path, most_pixels=MOST)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_picture_cut_short_is_said_to_be(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (600, 600, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    path, target = tmp_path / "half", tmp_path / "out.tif"
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(MembranaError) as refused:
        converted(path, target)
    assert refused.value.problem_code in {"slide_truncated", "slide_unreadable"}
    assert list(tmp_path.glob(".*")) == []
    assert not target.exists()


def test_a_conversion_stops_when_told_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pyvips.Image.black(6000, 6000, bands=3).cast("uchar").tiffsave(str(path))
    with pytest.raises(ConversionStopped):
        converted(path, tmp_path / "out.tif", watch=lambda _: False)
    assert [each.name for each in tmp_path.iterdir()] == ["a.tif"]


def test_a_slide_without_levels_gets_them_and_keeps_its_pixels(
    shared_data: Path, tmp_path: Path
) -> None:
    reader = OpenSlideReader(shared_data / "wsi_vendor" / "CMU-1-Small-Region.svs")
    convert_slide(reader, tmp_path / "out.tif", mpp=0.499, watch=lambda _: True)
    made = OpenSlideReader(tmp_path / "out.tif")
    assert made.dimensions == reader.dimensions
    assert len(made.level_downsamples) >= 4
    assert float(made.properties["openslide.mpp-x"]) == pytest.approx(0.499, rel=1e-4)
    box = Region0(700, 1100, 512, 512)
    difference = made.read(box, (512, 512)).astype(int) - reader.read(box, (512, 512))
    assert np.abs(difference).mean() < 2


def test_a_slide_stopped_in_conversion_lets_its_threads_go(
    shared_data: Path, tmp_path: Path
) -> None:
    reader = OpenSlideReader(shared_data / "wsi_her2" / "tma_3plus.svs")
    with pytest.raises(ConversionStopped):
        convert_slide(reader, tmp_path / "out.tif", mpp=None, watch=lambda _: False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("levels", "usable"),
    [
        ([(5468, 5468), (1367, 1367), (341, 341)], True),
        ([(2220, 2967)], True),
        ([(20_000, 20_000)], False),
        ([(100_000, 80_000), (25_000, 20_000)], False),
        ([(100_000, 80_000), (1_000, 800)], False),
    ],
)
def test_which_levels_are_enough(levels: list[tuple[int, int]], *, usable: bool) -> None:
    assert has_usable_levels(levels) is usable


def test_a_file_that_is_not_there_is_unreadable() -> None:
    with pytest.raises(SlideUnreadable):
        OpenSlideReader(Path("/nowhere"))


def test_a_damaged_slide_is_not_converted_over_its_gaps(shared_data: Path, tmp_path: Path) -> None:
    reader = OpenSlideReader(shared_data / "wsi_bad" / "tile_garbage.svs")
    with pytest.raises(RegionUnreadable):
        convert_slide(reader, tmp_path / "out.tif", mpp=0.499, watch=lambda _: True)
    assert list(tmp_path.iterdir()) == []
