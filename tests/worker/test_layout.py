"""Which picture of a file is the slide, and what is said to be left out."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from backend.kit.errors import MembranaError
from backend.slides.reading.reader import OpenSlideReader
from models.pictures.inside import Inside
from tests.support.turned import exif
from worker.layout import Layout, chosen, layout_of, look_at, shown_by

SLIDE = np.full((160, 240, 3), 120, np.uint8)
THUMBNAIL = SLIDE[::4, ::4]
LABEL = np.full((80, 60, 3), 20, np.uint8)


def pages(path: Path, *levels: tuple[np.ndarray, dict], **options: object) -> Path:
    with tifffile.TiffWriter(path, **options) as writer:
        for pixels, how in levels:
            writer.write(pixels, photometric="rgb", metadata=None, **how)
    return path


def tiled(**how: object) -> dict:
    return {"tile": (64, 64), **how}


REDUCED = {"subfiletype": 1}
TURNED = (274, "H", 1, 3, True)


@pytest.mark.parametrize(
    ("made", "page", "left_out"),
    [
        ([(SLIDE, {})], 0, 0),
        ([(SLIDE, {}), (LABEL, {})], 0, 1),
        ([(LABEL, {}), (SLIDE, {}), (LABEL, {})], 1, 2),
        ([(THUMBNAIL, {}), (SLIDE, {})], 1, 1),
        ([(THUMBNAIL, REDUCED), (SLIDE, {})], 1, 0),
        ([(SLIDE, {}), (THUMBNAIL, REDUCED), (LABEL, REDUCED)], 0, 1),
        ([(SLIDE, tiled()), (SLIDE[::2, ::2], tiled(**REDUCED)), (LABEL, {})], 0, 1),
        ([(SLIDE, REDUCED), (THUMBNAIL, {})], 0, 1),
        ([(SLIDE, {"subifds": 2}), (SLIDE[::2, ::2], REDUCED), (THUMBNAIL, {})], 0, 0),
        ([(SLIDE, {"subifds": 1}), (LABEL, {})], 0, 1),
        ([(LABEL, {"subifds": 1}), (LABEL[::2, ::2], {}), (SLIDE, {})], 1, 1),
    ],
)
@pytest.mark.parametrize("options", [{}, {"bigtiff": True, "byteorder": ">"}])
def test_the_largest_picture_is_the_slide(
    tmp_path: Path, made: list, page: int, left_out: int, options: dict
) -> None:
    found = layout_of(pages(tmp_path / "a.tif", *made, **options))
    assert (found.shown.page, found.shown.sub, found.left_out) == (page, None, left_out)
    assert (found.shown.width, found.shown.height) == (240, 160)
    assert ("pictures_left_out" in found.qc) is (left_out > 0)


def test_a_slide_in_a_sub_directory_is_found(tmp_path: Path) -> None:
    path = pages(tmp_path / "a.tif", (THUMBNAIL, {"subifds": 1, **REDUCED}), (SLIDE, {}))
    found = layout_of(path)
    assert (found.place, found.left_out) == ({"page": 0, "subifd": 0}, 0)


@pytest.mark.parametrize("number", [2, 5])
def test_pictures_of_one_size_are_no_choice(tmp_path: Path, number: int) -> None:
    path = pages(tmp_path / "a.tif", *[(SLIDE, {})] * number)
    with pytest.raises(MembranaError, match=f"{number} pictures of the same size") as refused:
        layout_of(path)
    assert refused.value.problem_code == "image_frames"


def camera(path: Path, *others: np.ndarray) -> Path:
    """Write a JPEG with further pictures behind it, as cameras do (MPF)."""
    first = Image.fromarray(SLIDE)
    behind = [Image.fromarray(each) for each in others]
    first.save(path, "MPO", save_all=True, append_images=behind, exif=exif(3))
    return path


def test_a_cameras_preview_behind_a_jpeg_is_named(tmp_path: Path) -> None:
    found = layout_of(camera(tmp_path / "a.jpg", THUMBNAIL))
    assert (found.size, found.left_out, found.shown.orientation) == ((240, 160), 1, 3)
    for others in ((SLIDE,), (np.vstack([SLIDE, SLIDE]),)):
        with pytest.raises(MembranaError) as refused:
            layout_of(camera(tmp_path / "b.jpg", *others))
        assert refused.value.problem_code == "image_frames"


def test_a_stack_behind_one_directory_is_seen(tmp_path: Path) -> None:
    """ImageJ writes large stacks so; other programs see the first picture alone."""
    path = tmp_path / "a.tif"
    for number, refused in ((1, False), (3, True)):
        note = f"ImageJ=1.53t\nimages={number}\nslices={number}\n".encode()
        tifffile.imwrite(path, SLIDE, photometric="rgb", description=note, metadata=None)
        if not refused:
            assert layout_of(path).qc == ()
            continue
        with pytest.raises(MembranaError, match="a stack of 3 pictures") as failure:
            layout_of(path)
        assert failure.value.problem_code == "image_frames"


def test_a_moving_png_is_refused(tmp_path: Path) -> None:
    more = [Image.fromarray(SLIDE + np.uint8(1))]
    Image.fromarray(SLIDE).save(tmp_path / "a.png", save_all=True, append_images=more)
    with pytest.raises(MembranaError) as refused:
        layout_of(tmp_path / "a.png")
    assert refused.value.problem_code == "image_frames"


def test_channels_beyond_the_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    four = np.dstack([SLIDE, SLIDE[..., :1] * 0])
    for meaning, dropped in (("unspecified", True), ("unassalpha", False), ("assocalpha", False)):
        tifffile.imwrite(path, four, photometric="rgb", extrasamples=[meaning])
        assert layout_of(path).drops_channel is dropped
    more = [0] * 2
    tifffile.imwrite(path, np.dstack([SLIDE, SLIDE[..., :2]]), photometric="rgb", extrasamples=more)
    with pytest.raises(MembranaError, match="2 channels beyond its colours"):
        layout_of(path)
    tifffile.imwrite(
        path, four, photometric="minisblack", planarconfig="contig", extrasamples=[0, 0, 0]
    )
    with pytest.raises(MembranaError, match="3 channels beyond its colours"):
        layout_of(path)


@pytest.mark.parametrize(
    ("made", "by_openslide"),
    [
        ([(SLIDE, tiled()), (SLIDE[::2, ::2], tiled(**REDUCED))], True),
        ([(SLIDE, tiled()), (LABEL, {})], True),
        ([(THUMBNAIL, tiled()), (SLIDE, {})], False),
        ([(THUMBNAIL, tiled()), (SLIDE, tiled())], False),
        ([(np.dstack([SLIDE, SLIDE[..., 0]]), tiled(extrasamples=[0]))], False),
        ([(SLIDE, tiled(extratags=[TURNED]))], False),
        ([(SLIDE, tiled()), (LABEL, tiled(**REDUCED))], False),
        (
            [(SLIDE, tiled()), (SLIDE[::2, ::2], tiled(extratags=[TURNED], **REDUCED))],
            False,
        ),
    ],
)
def test_what_openslide_shows_otherwise_is_known(
    tmp_path: Path, made: list, *, by_openslide: bool
) -> None:
    path = pages(tmp_path / "a.tif", *made)
    reader = OpenSlideReader(path)
    layout = look_at(path, reader)
    assert isinstance(layout, Layout)
    assert shown_by(layout, reader) is by_openslide
    reader.close()


def test_a_scanners_own_pages_are_not_left_out(shared_data: Path) -> None:
    for name in ("wsi_vendor/CMU-1-Small-Region.svs", "wsi_her2/tma_3plus.svs"):
        path = shared_data / name
        reader = OpenSlideReader(path)
        layout = look_at(path, reader)
        assert layout is not None
        assert (layout.qc, layout.size) == ((), reader.dimensions)
        reader.close()


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def loop(content: bytes) -> bytes:
    """Let the first directory be followed by itself, without end."""
    at = int.from_bytes(content[4:8], "little")
    number = int.from_bytes(content[at : at + 2], "little")
    end = at + 2 + 12 * number
    return content[:end] + content[4:8] + content[end + 4 :]


@pytest.mark.parametrize("harm", [cut, loop])
def test_a_harmed_table_of_contents_ends(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    packed = io.BytesIO()
    tifffile.imwrite(packed, SLIDE, photometric="rgb")
    path = tmp_path / "a.tif"
    path.write_bytes(harm(packed.getvalue()))
    assert layout_of(path).left_out == 0


def test_a_level_may_be_rounded_and_nothing_else_is_one() -> None:
    whole = Inside(1001, 777)
    for width, height, level in (
        (500, 388, True),
        (501, 389, True),
        (63, 49, True),
        (500, 300, False),
    ):
        found = chosen([whole, Inside(width, height, 1, reduced=True)], in_directories=True)
        assert (found.left_out == 0) is level
