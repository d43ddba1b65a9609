"""A Deep Zoom tile as a JPEG: a stored one handed on where it fits, else the cheapest way to it.

OpenSlide decodes a stored tile and paints it, and for a browser it is coded again. Where the file
is a plain TIFF and a stored tile is what is asked for, neither is needed. Where a level is asked
for that the file has not, the mean of so many of its pixels is taken, which costs a third of a
bicubic window; for damaged places, colours that follow a profile and other files OpenSlide reads
them.
"""

from contextlib import suppress
from math import log2
from typing import NamedTuple

import numpy as np
from PIL import Image
from simplejpeg import encode_jpeg

from backend.kit.geometry import SizePx, best_level
from backend.slides.reading.reader import OpenSlideReader, Rgb
from backend.slides.reading.resampling import is_whole
from backend.slides.reading.stored_jpeg import NotPlain
from backend.slides.reading.tiles import TileBox

QUALITY = 85
LARGEST_STEP = 8
"""Stored px a px of the tile, each way: what is coarser is read from where OpenSlide would."""


class Placed(NamedTuple):
    """Whole pixels of a stored level, `step` of them each way a pixel of the tile."""

    level: int
    corner: tuple[int, int]
    size: SizePx
    step: int


def jpeg(pixels: Rgb) -> bytes:
    """Code RGB (h, w, 3)."""
    coded: bytes = encode_jpeg(np.ascontiguousarray(pixels), QUALITY, "RGB", "420")
    return coded


def tile(reader: OpenSlideReader, box: TileBox) -> bytes:
    """Return a tile as JPEG. Raise NotPlain where it lies between pixels, or RegionUnreadable."""
    placed = placed_in(reader, box)
    if is_stored_tile(reader, placed):
        with suppress(NotPlain):
            (x, y), level = placed.corner, placed.level
            across, down = placed.size
            return reader.stored.jpeg(level, x // across, y // down)
    pixels = whole_pixels(reader, placed, box)
    if placed.step > 1:
        pixels = np.asarray(Image.fromarray(pixels).reduce(placed.step))
    return jpeg(pixels)


def is_as_stored(reader: OpenSlideReader, placed: Placed) -> bool:
    """Say whether the pixels of a place are shown as they are stored."""
    damaged = reader.is_damaged(placed.level, *placed.corner, *placed.size)
    return not (damaged or reader.follows_profile)


def is_stored_tile(reader: OpenSlideReader, placed: Placed) -> bool:
    level = reader.stored.levels[placed.level]
    if level is None or placed.step > 1 or placed.size != level.tile:
        return False
    (x, y), (across, down) = placed.corner, level.tile
    return not (x % across or y % down) and is_as_stored(reader, placed)


def whole_pixels(reader: OpenSlideReader, placed: Placed, box: TileBox) -> Rgb:
    """Return the stored pixels of a place. Raise RegionUnreadable."""
    if is_as_stored(reader, placed):
        with suppress(NotPlain):
            return reader.stored.pixels(placed.level, placed.corner, placed.size)
    return reader.read(box.region, placed.size)


def placed_in(reader: OpenSlideReader, box: TileBox) -> Placed:
    """Return where a tile's pixels stand whole on the level that OpenSlide would read."""
    region = box.region.moved(*reader.bounds.corner)
    asked = max(region.width / box.size[0], region.height / box.size[1])
    number = best_level(reader.level_downsamples, asked)
    downsample = reader.level_downsamples[number]
    step = round(asked / downsample)
    size = box.size[0] * step, box.size[1] * step
    if not 1 <= step <= LARGEST_STEP or log2(step) % 1 or not is_whole(region, size, downsample):
        raise NotPlain("it lies between the stored pixels")
    corner = round(region.x / downsample), round(region.y / downsample)
    width, height = reader.canvas_dimensions[number]
    if min(corner) < 0 or corner[0] + size[0] > width or corner[1] + size[1] > height:
        raise NotPlain("a part of it lies beyond the scan")
    return Placed(number, corner, size, step)
