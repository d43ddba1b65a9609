"""Which patches outlines reach into: the grid's arithmetic, from coarse to fine.

A slide may have a hundred thousand patches. No row of them is read to find the few that an outline
touches: blocks of 64 × 64 are held against it, then those of 8 × 8 in what it meets, then patches.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backend.exchange.masks.geojson import GeoJsonInvalid, Shape
from backend.exchange.masks.work import OF_BOX, Work
from backend.slides.patches.grid import PATCH_PX

if TYPE_CHECKING:
    import shapely


class TooManyPatches(GeoJsonInvalid):
    code = "too_many_patches"


Cells = npt.NDArray[np.int64]
"""(N, 2) of row and column."""
STEPS = (64, 8, 1)
"""Patches along a block's side, coarse to fine; each divides the one before."""
RIM = 0.25
"""Analysis px: what reaches less far into a patch than this holds no pixel's centre."""


class Grid:
    """A slide's patches by their places. side0: of one, in level-0 px."""

    def __init__(self, cells: Cells, shape: tuple[int, int], side0: float) -> None:
        self.side0 = side0
        rows, columns = (-(-each // STEPS[0]) * STEPS[0] for each in shape)
        there = np.zeros((rows, columns), bool)
        there[cells[:, 0], cells[:, 1]] = True
        self._blocks = {
            step: there.reshape(rows // step, step, columns // step, step).any(axis=(1, 3))
            for step in STEPS
        }

    def under(self, outline: "shapely.Geometry", work: Work) -> Cells:
        """Return the places of the patches that an outline reaches into."""
        import shapely

        # kept with the outline, which may be held against many boxes
        shapely.prepare(outline)
        blocks = self._coarsest(outline)
        for step in STEPS:
            blocks = blocks[self._blocks[step][blocks[:, 0], blocks[:, 1]]]
            work.spend(OF_BOX * len(blocks))
            rim = RIM * self.side0 / PATCH_PX if step == 1 else 0.0
            side = step * self.side0
            boxes = shapely.box(
                *(blocks * side + rim).T[::-1], *((blocks + 1) * side - rim).T[::-1]
            )
            blocks = blocks[shapely.intersects(outline, boxes)]
            if step != 1:
                blocks = split(blocks, step // STEPS[STEPS.index(step) + 1])
        return blocks

    def _coarsest(self, outline: "shapely.Geometry") -> Cells:
        """Return the coarsest blocks that the box around an outline meets."""
        side = STEPS[0] * self.side0
        left, top, right, bottom = (int(each // side) for each in outline.bounds)
        rows, columns = self._blocks[STEPS[0]].shape
        return np.stack(
            np.meshgrid(
                np.arange(max(top, 0), min(bottom + 1, rows)),
                np.arange(max(left, 0), min(right + 1, columns)),
                indexing="ij",
            ),
            axis=-1,
        ).reshape(-1, 2)


def split(blocks: Cells, parts: int) -> Cells:
    """Return the blocks that blocks consist of, `parts` along each side."""
    inner = np.stack(np.meshgrid(*2 * [np.arange(parts)], indexing="ij"), axis=-1).reshape(-1, 2)
    return (blocks[:, None] * parts + inner).reshape(-1, 2)


def touched(
    shapes: Sequence[Shape], grid: Grid, work: Work, *, most: int, pause: Callable[[], None]
) -> dict[tuple[int, int], list[Shape]]:
    """Return the shapes that reach into each patch, by its place.

    Raise GeoJsonInvalid as soon as they touch more than `most` patches. pause: called between
    shapes; may raise what ends the work.
    """
    shapes_of: defaultdict[tuple[int, int], list[Shape]] = defaultdict(list)
    for shape in shapes:
        pause()
        for row, column in grid.under(shape.outline, work).tolist():
            shapes_of[row, column].append(shape)
        if len(shapes_of) > most:
            raise TooManyPatches(
                f"The outlines touch more than {most} patches, and so many are taken at once."
            )
    return shapes_of
