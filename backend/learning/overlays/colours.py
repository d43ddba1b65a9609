"""Overlays: what models and people see, as Deep Zoom tiles on the slide's own grid.

A tile is read from the pyramid level that fits and coloured through a table of 256 entries, so
the work of one is the same at every level.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from backend.kit.geometry import Region0, SizePx
from backend.kit.storage.blobs import Blobs
from backend.kit.storage.pyramids import Channel, Pyramid
from backend.learning.predictions.patch_layers import HALF
from backend.slides.patches.grid import PATCH_PX
from backend.slides.patches.images import Pixels

TOLERANCE = 0.02
"""In powers of two: a tile at the edge is a little stretched, and still of its level."""
MASK_LEVELS = 8
"""At this level a patch is one pixel."""
SMALL_LEVEL = 3
"""From this level on a mask is 2 kB at most, and thousands may be kept."""
IGNORE = 127
MEMBRANE = 255


class Overlay(StrEnum):
    PROBABILITY = "probability"
    PROPOSAL = "proposal"
    UNCERTAINTY = "uncertainty"
    ANNOTATION = "annotation"


CHANNELS: dict[Overlay, Sequence[Channel]] = {
    Overlay.PROBABILITY: (Channel.PROBABILITY,),
    Overlay.PROPOSAL: (Channel.PROBABILITY,),
    Overlay.UNCERTAINTY: (Channel.UNCERTAINTY, Channel.FLAGGED),
}

Stops = Sequence[tuple[int, tuple[int, int, int, int]]]


def table(stops: Stops) -> Pixels:
    """Return RGBA (256, 4) that runs straight between the stops; values between are rounded."""
    values = [value for value, _ in stops]
    corners = np.array([colour for _, colour in stops], float)
    ramp = np.arange(256)
    columns = [np.interp(ramp, values, corners[:, index]) for index in range(4)]
    colours = np.stack(columns, axis=1).round()
    return bare(colours.astype(np.uint8))


def bare(rgba: Pixels) -> Pixels:
    """Return colours in which whatever is wholly transparent is zero: such tiles are tiny."""
    rgba[rgba[..., 3] == 0] = 0
    return rgba


COLOURS: dict[Overlay, Pixels] = {
    # brown to yellow, clear where membrane is improbable
    Overlay.PROBABILITY: table(
        [(0, (110, 60, 10, 0)), (25, (110, 60, 10, 0)), (255, (255, 222, 60, 235))]
    ),
    # one colour from one half up; below, only what a coarse level has averaged shows faintly
    Overlay.PROPOSAL: table(
        [(HALF - 1, (0, 190, 255, 0)), (HALF, (0, 190, 255, 200)), (255, (0, 190, 255, 200))]
    ),
    # blue to magenta
    Overlay.UNCERTAINTY: table(
        [(0, (40, 60, 255, 0)), (30, (40, 60, 255, 0)), (255, (255, 0, 200, 235))]
    ),
}
GREEN = (20, 190, 60)
GRAY = (128, 128, 128)
COVER = 200
"""Opacity of an annotated membrane, 0–255."""
FAINT: Pixels = table(
    [(0, (0, 190, 255, 0)), (20, (0, 190, 255, 0)), (HALF, (0, 190, 255, 200)),
     (255, (0, 190, 255, 200))]
)  # fmt: skip
"""The proposal at coarse levels, where a thin membrane is an average with its surroundings."""
COARSE_STEP = 4


def transparent(size: SizePx) -> Pixels:
    return np.zeros((size[1], size[0], 4), np.uint8)


def step_of(region: Region0, size: SizePx) -> float:
    """Return analysis px per tile px."""
    return max(region.width / size[0], region.height / size[1])


def fitting_level(step: float, count: int) -> int:
    """Return the coarsest of `count` levels that is at least as fine as the tile."""
    return min(max(math.floor(math.log2(step) + TOLERANCE), 0), count - 1)


def sample(pyramid: Pyramid, region: Region0, size: SizePx, channels: Sequence[int]) -> Pixels:
    """Return a box in analysis px as uint8 (channels, height, width) of the tile's size."""
    level = fitting_level(step_of(region, size), pyramid.readable_levels)
    box = region.scaled(1 / 2**level)
    x, y = math.floor(box.x), math.floor(box.y)
    covering = math.ceil(box.right) - x, math.ceil(box.bottom) - y
    pixels = pyramid.read(level, x, y, covering, channels)
    return np.stack([resampled(each, box, x, y, size) for each in pixels])


def resampled(pixels: Pixels, box: Region0, x: int, y: int, size: SizePx) -> Pixels:
    """Fit pixels that begin at (x, y) to the part of them in a box; whole pixels stay as read."""
    whole = (box.x, box.y) == (x, y) and (box.width, box.height) == size
    if whole:
        return pixels
    shrinks = box.width >= size[0]
    method = Image.Resampling.BOX if shrinks else Image.Resampling.NEAREST
    part = (box.x - x, box.y - y, box.right - x, box.bottom - y)
    return np.asarray(Image.fromarray(pixels).resize(size, method, box=part))


def model_tile(pyramid: Pyramid, region: Region0, size: SizePx, kind: Overlay) -> Pixels:
    """Colour what a model sees in a box (analysis px): RGBA (height, width, 4)."""
    pixels = sample(pyramid, region, size, CHANNELS[kind])
    if kind == Overlay.UNCERTAINTY:
        # a flagged pixel is at least half-way to magenta, an uncertain one at most
        values = pixels[0] // 2 + (pixels[1] + 1) // 2
        return coloured(values, COLOURS[kind])
    coarse = step_of(region, size) >= COARSE_STEP
    colours = FAINT if kind == Overlay.PROPOSAL and coarse else COLOURS[kind]
    return coloured(pixels[0], colours)


def coloured(values: Pixels, colours: Pixels) -> Pixels:
    rgba: Pixels = np.take(colours, values, axis=0)
    return rgba


def mask_at(path: Path, level: int) -> Pixels:
    """Return a stored mask as (2, side, side): how much of each pixel is membrane, and ignored."""
    return small_mask(path, level) if level >= SMALL_LEVEL else shrunk_mask(path, level)


@lru_cache(maxsize=8192)
def small_mask(path: Path, level: int) -> Pixels:
    return shrunk_mask(path, level)


def shrunk_mask(path: Path, level: int) -> Pixels:
    with Image.open(path) as image:
        mask = np.asarray(image)
    side = PATCH_PX >> level
    both = np.stack([mask == MEMBRANE, mask == IGNORE]).astype(np.float32)
    cells = both.reshape(2, side, PATCH_PX // side, side, PATCH_PX // side)
    small: Pixels = np.round(cells.mean(axis=(2, 4)) * 255).astype(np.uint8)
    return small


def annotation_tile(
    blobs: Blobs, masks: dict[tuple[int, int], str], region: Region0, size: SizePx
) -> Pixels:
    """Colour people's masks in a box (analysis px); `masks` names them by (row, column).

    Small masks are kept in memory, so a tile that shows a whole slide decodes each but once.
    """
    level = fitting_level(step_of(region, size), MASK_LEVELS + 1)
    side = PATCH_PX >> level
    rows, columns = patches_under(region)
    canvas = np.zeros((2, len(rows) * side, len(columns) * side), np.uint8)
    for (row, column), sha256 in masks.items():
        y, x = (row - rows.start) * side, (column - columns.start) * side
        canvas[:, y : y + side, x : x + side] = mask_at(blobs.path(sha256), level)
    box = region.scaled(1 / 2**level)
    origin = columns.start * side, rows.start * side
    membrane, ignored = (fitted(each, box, origin, size) for each in canvas)
    out = transparent(size)
    out[..., :3] = np.where((membrane >= ignored)[..., None], GREEN, GRAY)
    out[..., 3] = np.maximum(membrane, ignored).astype(np.uint16) * COVER // 255
    return bare(out)


def fitted(pixels: Pixels, box: Region0, origin: tuple[int, int], size: SizePx) -> Pixels:
    """Cut a box out of a canvas whose top left pixel is `origin`, at the tile's size."""
    x, y = math.floor(box.x), math.floor(box.y)
    right, bottom = math.ceil(box.right), math.ceil(box.bottom)
    left, top = x - origin[0], y - origin[1]
    part = pixels[top : bottom - origin[1], left : right - origin[0]]
    return resampled(np.ascontiguousarray(part), box, x, y, size)


def patches_under(region: Region0) -> tuple[range, range]:
    """Return the rows and columns of the patches that a box (analysis px) touches."""
    return (
        range(math.floor(region.y / PATCH_PX), math.ceil(region.bottom / PATCH_PX)),
        range(math.floor(region.x / PATCH_PX), math.ceil(region.right / PATCH_PX)),
    )
