"""Which patches outlines reach into: by the grid's arithmetic.

A slide may have a hundred thousand patches. Of none more than its place is read to find the few
that an outline touches.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from backend.exchange.masks.geojson import GeoJsonInvalid, Shape
from backend.exchange.masks.scanlines import OF_CALL, SHARE, Edges, crossed, inside
from backend.exchange.masks.work import Work
from backend.slides.patches.grid import PATCH_PX


class TooManyPatches(GeoJsonInvalid):
    code = "too_many_patches"


Bool = npt.NDArray[np.bool_]
Cells = npt.NDArray[np.int64]
"""(N, 2) of row and column."""
RIM = 0.25
"""Analysis px: what reaches less far into a patch than this holds no pixel's centre."""


class Grid:
    """A slide's patches by their places. side0: of one, in level-0 px."""

    def __init__(self, cells: Cells, shape: tuple[int, int], side0: float) -> None:
        self.side0, self.size = side0, shape
        self.there: Bool = np.zeros(shape, bool)
        self.there[cells[:, 0], cells[:, 1]] = True

    def under(self, edges: Edges, work: Work) -> Cells:
        """Return the places of the patches that an outline reaches into."""
        whole = edges.within((0.0, 0.0), self.side0)
        rows, columns = whole.window(self.size)
        there = self.there[rows, columns]
        work.spend(OF_CALL + there.size // SHARE)
        if not there.any():
            return np.empty((0, 2), np.int64)
        part = whole.below(rows, columns)
        size = rows.stop - rows.start, columns.stop - columns.start
        reached = inside(part, size, work.spend)
        reached |= crossed(part, size, RIM / PATCH_PX, work.spend)
        under: Cells = np.argwhere(reached & there) + np.array([rows.start, columns.start])
        return under


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
        for row, column in grid.under(shape.edges, work).tolist():
            shapes_of[row, column].append(shape)
        if len(shapes_of) > most:
            raise TooManyPatches(
                f"The outlines touch more than {most} patches, and so many are taken at once."
            )
    return shapes_of
