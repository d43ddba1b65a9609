"""Reading pixels: alone or together, over glass, damaged, and by many threads."""

import hashlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.kit.geometry import Region0
from backend.slides.catalogue.overview import read_overview
from backend.slides.catalogue.rendering import thumbnail
from backend.slides.reading.reader import (
    OpenSlideReader,
    OpenSlides,
    RegionUnreadable,
    SlideUnreadable,
    over_glass,
    read_patches,
)


@pytest.fixture
def core(shared_data: Path) -> OpenSlideReader:
    return OpenSlideReader(shared_data / "wsi_her2" / "tma_3plus.svs")


def test_whole_pixels_come_unchanged(core: OpenSlideReader) -> None:
    raw = np.asarray(core._handle.read_region((2000, 2100), 0, (256, 200)))[..., :3]
    assert np.array_equal(core.read(Region0(2000, 2100, 256, 200), (256, 200)), raw)


@pytest.mark.parametrize("scale", [0.25 / 0.22, 0.25 / 0.3, 0.5, 2.3])
def test_a_patch_alone_has_the_pixels_of_the_shard(core: OpenSlideReader, scale: float) -> None:
    shard = core.read(Region0(1024 * scale, 512 * scale, 1024 * scale, 1024 * scale), (1024, 1024))
    for row, column in ((0, 0), (1, 2), (3, 3)):
        x, y = (1024 + column * 256) * scale, (512 + row * 256) * scale
        alone = core.read(Region0(x, y, 256 * scale, 256 * scale), (256, 256))
        part = shard[row * 256 : (row + 1) * 256, column * 256 : (column + 1) * 256]
        difference = np.abs(alone.astype(int) - part)
        # Pillow's coefficients are fixed-point: a grey level or two of rounding, rarely
        assert difference.max() <= 2
        assert difference.mean() < 0.01


def test_resampling_keeps_things_in_their_place(core: OpenSlideReader) -> None:
    region = Region0(2000.5, 2000.25, 512, 512)
    small = core.read(region, (128, 128)).astype(float)
    raw = core.read(Region0(2000, 2000, 513, 513), (513, 513)).astype(float)
    boxed = raw[:512, :512].reshape(128, 4, 128, 4, 3).mean(axis=(1, 3))
    # the level was made with another filter; a shift of one pixel would show all the same
    aligned = np.abs(small - boxed).mean()
    assert aligned < 8
    for shifted in (small[:, 1:] - boxed[:, :-1], small[1:] - boxed[:-1], small[:-1] - boxed[1:]):
        assert np.abs(shifted).mean() > 2 * aligned


def test_beyond_the_slide_is_white_glass(core: OpenSlideReader) -> None:
    width, height = core.dimensions
    corner = core.read(Region0(width - 100, height - 100, 256, 256), (256, 256))
    assert corner[110:, :].min() == 255
    assert corner[:, 110:].min() == 255
    assert core.read(Region0(-300, -300, 256, 256), (256, 256)).min() == 255


def test_transparent_pixels_lie_over_white_never_black() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, 1] = (200, 0, 0, 255)
    rgba[0, 2] = (200, 0, 0, 128)
    over = over_glass(rgba)
    assert over[0, 0].tolist() == [255, 255, 255]
    assert over[0, 1].tolist() == [200, 0, 0]
    assert over[0, 2].tolist() == [227, 127, 127]


def test_a_damaged_part_does_not_spoil_the_others(shared_data: Path) -> None:
    reader = OpenSlideReader(shared_data / "wsi_bad" / "tile_garbage.svs")
    overview = read_overview(reader, 2.0)
    assert 0 < overview.unreadable.mean() < 0.5
    row, column = np.argwhere(overview.unreadable)[0]
    bad = Region0(column * 2, row * 2, 256, 256)
    good = Region0(0, 0, 128, 128)
    before = reader.read(good, (128, 128))
    with pytest.raises(RegionUnreadable) as refused:
        reader.read(bad, (256, 256))
    assert refused.value.problem_code == "region_unreadable"
    assert np.array_equal(reader.read(good, (128, 128)), before)


def test_an_overview_is_the_slide_at_that_downsample(core: OpenSlideReader) -> None:
    overview = read_overview(core, 10.0)
    assert overview.image.shape == (547, 547, 3)
    assert not overview.unreadable.any()
    whole = core.read(Region0(0, 0, 5468, 5468), (547, 547)).astype(int)
    # OpenSlide rounds a level's origin to its pixels, so pieces may lie a part of one aside
    assert np.abs(overview.image - whole).mean() < 3


def test_the_thumbnail_is_the_tissue_not_the_macro_image(core: OpenSlideReader) -> None:
    small = thumbnail(core)
    assert max(small.shape[:2]) == 512
    level = core._handle.read_region((0, 0), 2, core.level_dimensions[2]).convert("RGB")
    rough = [
        np.asarray(each.resize((32, 32))).astype(int) for each in (level, Image.fromarray(small))
    ]
    assert np.abs(rough[0] - rough[1]).mean() < 2


def test_patches_are_read_in_the_order_asked(core: OpenSlideReader) -> None:
    boxes = [Region0(2000, 2000, 256, 256), Region0(2256, 2000, 256, 256)]
    patches = read_patches(core, boxes, 256)
    assert patches.shape == (2, 256, 256, 3)
    assert np.array_equal(patches[1], core.read(boxes[1], (256, 256)))


def test_what_is_no_slide_is_said_to_be_unreadable(shared_data: Path) -> None:
    with pytest.raises(SlideUnreadable, match="can't be opened"):
        OpenSlideReader(shared_data / "wsi_bad" / "unopenable.tiff")
    with pytest.raises(SlideUnreadable, match="gone"):
        OpenSlides().get(shared_data / "no such file")


def test_few_slides_stay_open_and_a_rebuilt_file_is_opened_anew(
    shared_data: Path, tmp_path: Path
) -> None:
    slides = OpenSlides(most=2)
    paths = [tmp_path / f"{number}.svs" for number in range(3)]
    for path in paths:
        shutil.copy(shared_data / "wsi_vendor" / "small.svs", path)
    first = slides.get(paths[0])
    assert slides.get(paths[0]) is first
    slides.get(paths[1])
    slides.get(paths[2])
    assert len(slides) == 2
    # pushed out, yet whoever holds it can read on
    assert first.read(Region0(0, 0, 16, 16), (16, 16)).shape == (16, 16, 3)
    kept = slides.get(paths[2])
    paths[2].unlink()
    shutil.copy(shared_data / "wsi_her2" / "tma_3plus.svs", paths[2])
    assert slides.get(paths[2]) is not kept
    slides.forget(paths[2])
    assert len(slides) == 0


def test_many_threads_read_the_same_pixels(shared_data: Path) -> None:
    slides = OpenSlides(most=1)
    files = [shared_data / "wsi_her2" / name for name in ("tma_3plus.svs", "tma_0_nompp.svs")]
    barrier = threading.Barrier(8)

    def read(number: int) -> str:
        barrier.wait()
        seen = hashlib.sha256()
        for step in range(6):
            # two slides and one place: handles are pushed out while others read them
            reader = slides.get(files[(number + step) % 2])
            box = Region0(1000 + 300 * (step // 2), 2000, 300, 300)
            pair = [reader.read(box, (300, 300)), slides.get(files[0]).read(box, (300, 300))]
            seen.update(pair[1].tobytes())
        return seen.hexdigest()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(read, range(8)))) == 1
