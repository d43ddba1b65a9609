"""A box of a slide drawn at any size, from the level that suits it.

It is read with a margin at the best pyramid level and resampled by Pillow with a float box, so a
patch read alone has the pixels it has in a larger reading.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.kit.geometry import Region0, SizePx, best_level, level_box

Rgb = npt.NDArray[np.uint8]
PixelsOf = Callable[[tuple[int, int], int, SizePx], Rgb]
"""Returns so many whole pixels of a level from a level-0 place on: (x, y), level, (width, height).
"""
SUPPORT = 2
"""Radius of Pillow's bicubic window in pixels of the coarser grid."""
COARSE = 4
"""Past this ratio, of overviews only, a triangle is as good as bicubic and cheaper. (A box is
not: its window's edges fall on pixel edges, where rounding decides what counts.)"""
WHOLE = 1e-9


def drawn(region: Region0, size: SizePx, downsamples: Sequence[float], pixels_of: PixelsOf) -> Rgb:
    """Return a level-0 box as uint8 (height, width, 3) of `size`; levels by their downsamples."""
    downsample = min(region.width / size[0], region.height / size[1])
    level = best_level(downsamples, downsample)
    step = downsamples[level]
    ratio = max(region.width / size[0], region.height / size[1]) / step
    direct = is_whole(region, size, step)
    margin = 0 if direct else math.ceil(SUPPORT * max(ratio, 1)) + 1
    box = level_box(region, level, step, margin)
    pixels = pixels_of((round(box.x * step), round(box.y * step)), level, (box.width, box.height))
    if direct:
        return pixels
    left, top = region.x / step - box.x, region.y / step - box.y
    image = Image.fromarray(pixels).resize(
        size,
        Image.Resampling.BICUBIC if ratio < COARSE else Image.Resampling.BILINEAR,
        box=(left, top, left + region.width / step, top + region.height / step),
    )
    return np.asarray(image)


def is_whole(region: Region0, size: SizePx, step: float) -> bool:
    """Say whether the box is exactly these whole pixels of the level: nothing to resample."""
    return (
        all(
            abs(value / step - round(value / step)) < WHOLE * max(1, abs(value))
            for value in (region.x, region.y)
        )
        and (round(region.width / step, 6), round(region.height / step, 6)) == size
    )
