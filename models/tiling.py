"""Where tiles lie on a slide, and what each of them says about its pixels: by place alone.

Tiles lie on the analysis grid from the slide's corner, each some px over its right and lower
neighbours'. There its weight falls as theirs rises, so that no seam shows; the tile's own rim, of
which it sees too little, weighs nothing. So a pixel's prediction follows from the slide and the
model, and never from who asks, for how much, in which order.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from models.prediction import PATCH_PX

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Box:
    """A box in analysis px."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def right(self) -> int:
        return self.left + self.width

    def common(self, other: "Box") -> "Box":
        """Return what both share; its height or width is 0 if that is nothing."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        return Box(
            top,
            left,
            max(0, min(self.bottom, other.bottom) - top),
            max(0, min(self.right, other.right) - left),
        )

    def within(self, other: "Box") -> tuple[slice, slice]:
        """Return where this box lies in an array of another one that holds it."""
        top, left = self.top - other.top, self.left - other.left
        return slice(top, top + self.height), slice(left, left + self.width)


@dataclass(frozen=True)
class Tiling:
    """How a slide is cut: a tile each `step` px, that reaches `overlap` px over the next one.

    rim: px at a tile's border, where it meets others, that weigh nothing; between two rims its
    weight rises evenly. sides: of the windows that a network is shown; a slide's last tile takes
    the smallest that holds it, so that a network is compiled for few shapes.
    """

    step: int
    overlap: int
    rim: int
    sides: tuple[int, ...]

    @property
    def side(self) -> int:
        return self.step + self.overlap

    @property
    def name(self) -> str:
        """What is written down with a mask: the tiles' side and step."""
        return f"tiles {self.side}/{self.step}"

    @cached_property
    def rising(self) -> Floats:
        """Weights over an overlap: with few binary digits, so that a pixel's add up to just one."""
        steps = self.overlap - 2 * self.rim
        rise = (np.arange(steps) + 0.5) / max(steps, 1)
        return np.concatenate([np.zeros(self.rim), rise, np.ones(self.rim)]).astype(np.float32)


BLENDED = Tiling(step=4 * PATCH_PX, overlap=48, rim=16, sides=(256, 512, 768, 4 * PATCH_PX + 48))
"""Of all predictions: 48 px over 1,024 cost 10 % of the work (`python -m benchmarks.prediction`
measures that, and what is left of the seams)."""
EDGE_TO_EDGE = Tiling(step=PATCH_PX, overlap=0, rim=0, sides=(PATCH_PX,))
"""Patches alone, as everything was predicted before there were blended tiles: to compare with."""


@dataclass(frozen=True, order=True)
class Tile:
    """A tile by its place among the others."""

    row: int
    column: int


@dataclass(frozen=True)
class Layout:
    """The tiles of one slide of `width` by `height` analysis px."""

    width: int
    height: int
    tiling: Tiling = BLENDED

    @property
    def rows(self) -> int:
        return self._count(self.height)

    @property
    def columns(self) -> int:
        return self._count(self.width)

    def _count(self, length: int) -> int:
        return max(1, math.ceil(length / self.tiling.step))

    def box(self, tile: Tile) -> Box:
        """Return what a tile sees of the slide."""
        step, side = self.tiling.step, self.tiling.side
        top, left = tile.row * step, tile.column * step
        return Box(top, left, min(side, self.height - top), min(side, self.width - left))

    def shape(self, tile: Tile) -> tuple[int, int]:
        """Return the (height, width) of the window in which a network is shown the tile."""
        box = self.box(tile)
        height, width = (
            next(side for side in self.tiling.sides if side >= length)
            for length in (box.height, box.width)
        )
        return height, width

    def touching(self, box: Box) -> list[Tile]:
        """Return the tiles that weigh anything in a box of the slide, row by row."""
        rows = self._span(box.top, box.bottom, self.rows)
        columns = self._span(box.left, box.right, self.columns)
        return [Tile(row, column) for row in rows for column in columns]

    def _span(self, start: int, end: int, count: int) -> range:
        step, side, rim = self.tiling.step, self.tiling.side, self.tiling.rim
        first = (start - side + rim) // step + 1
        return range(max(0, first), min(count, max(0, end - 1 - rim) // step + 1))

    def weights(self, tile: Tile) -> tuple[Floats, Floats]:
        """Return a tile's weights along its rows and along its columns: their product counts."""
        box = self.box(tile)
        down = self._weights(box.height, tile.row, self.rows)
        return down, self._weights(box.width, tile.column, self.columns)

    def _weights(self, length: int, number: int, count: int) -> Floats:
        weights = np.ones(length, np.float32)
        step, rising = self.tiling.step, self.tiling.rising
        if number > 0:
            weights[: len(rising)] = rising[:length]
        if number < count - 1:
            # before the slide's end less than the whole overlap may be left
            weights[step:] = 1 - rising[: length - step]
        return weights
