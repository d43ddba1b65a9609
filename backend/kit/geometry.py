"""Places and lengths on a slide, with the coordinate system in the type.

`Point0`, `Size0`, `Region0` are level-0 pixels (origin top left, x right, y down; floats, because
a box of the analysis grid need not start on a whole pixel).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

SizePx = tuple[int, int]
"""(width, height) in whole pixels of whatever is asked for."""


@dataclass(frozen=True)
class Point0:
    x: float
    y: float


@dataclass(frozen=True)
class Size0:
    width: float
    height: float


@dataclass(frozen=True)
class Region0:
    """An axis-aligned box of a slide in level-0 pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def origin(self) -> Point0:
        return Point0(self.x, self.y)

    @property
    def size(self) -> Size0:
        return Size0(self.width, self.height)

    def moved(self, x: float, y: float) -> "Region0":
        return Region0(self.x + x, self.y + y, self.width, self.height)

    def scaled(self, factor: float) -> "Region0":
        return Region0(self.x * factor, self.y * factor, self.width * factor, self.height * factor)

    def intersects(self, other: "Region0") -> bool:
        return (
            self.x < other.right
            and other.x < self.right
            and self.y < other.bottom
            and other.y < self.bottom
        )

    def clipped(self, size: Size0) -> "Region0":
        """Return the part inside a slide of that size; width and height may become 0."""
        x, y = min(max(self.x, 0), size.width), min(max(self.y, 0), size.height)
        right, bottom = min(max(self.right, x), size.width), min(max(self.bottom, y), size.height)
        return Region0(x, y, right - x, bottom - y)


@dataclass(frozen=True)
class LevelBox:
    """Whole pixels of one pyramid level: what OpenSlide can be asked for."""

    level: int
    x: int
    y: int
    width: int
    height: int


def best_level(downsamples: Sequence[float], downsample: float) -> int:
    """Return the coarsest level that is at least as fine as asked (level 0 if none is)."""
    fits = [index for index, each in enumerate(downsamples) if each <= downsample * 1.01]
    return max(fits, key=lambda index: downsamples[index], default=0)


def level_box(region: Region0, level: int, downsample: float, margin: int) -> LevelBox:
    """Return the whole pixels of a level that cover a region and `margin` pixels around it."""
    left = math.floor(region.x / downsample + EPSILON) - margin
    top = math.floor(region.y / downsample + EPSILON) - margin
    right = math.ceil(region.right / downsample - EPSILON) + margin
    bottom = math.ceil(region.bottom / downsample - EPSILON) + margin
    return LevelBox(level, left, top, right - left, bottom - top)


EPSILON = 1e-6
"""Pixels: less is rounding of floats, not a place."""
