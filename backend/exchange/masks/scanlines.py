"""Outlines laid onto a raster by even-odd scanlines: what it costs is known before it is done.

A library's tests of points and boxes against an outline may each take as long as the outline is; a
comb of long teeth made minutes of a small file. Here every edge is cut by the rows that it spans,
once, and that is counted. Valid polygons do not overlap themselves, so an odd number of edges to
the left is inside. A centre that lies exactly on an edge belongs to one side of it only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import shapely

Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]
AT_ONCE = 1_000_000
"""Cuts in memory."""
SHARE = 16
"""Looking at an edge that spans no row here costs this much less than a cut."""

OF_CALL = 1000
"""What the smallest outline costs, in cuts."""


@dataclass(frozen=True)
class Edges:
    """Of all rings of an outline: where each begins and ends, (N, 2) of x and y."""

    start: Float
    stop: Float

    @classmethod
    def of(cls, outline: "shapely.Geometry") -> "Edges":
        import shapely

        places, ring = shapely.get_coordinates(
            shapely.get_rings(shapely.get_parts(outline)), return_index=True
        )
        same = ring[1:] == ring[:-1]
        return cls(places[:-1][same], places[1:][same])

    def within(self, corner: tuple[float, float], side: float) -> "Edges":
        """Return the edges in units of `side`, counted from a corner; y goes up along each."""
        start, stop = (self.start - corner) / side, (self.stop - corner) / side
        falls = (start[:, 1] > stop[:, 1])[:, None]
        return Edges(np.where(falls, stop, start), np.where(falls, start, stop))

    def window(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns of a raster of `shape` that the edges may touch."""
        low = np.floor(np.minimum(self.start, self.stop).min(axis=0))
        high = np.floor(np.maximum(self.start, self.stop).max(axis=0)) + 1
        columns, rows = (
            slice(int(np.clip(first, 0, most)), int(np.clip(last, 0, most)))
            for first, last, most in zip(low, high, shape[::-1], strict=True)
        )
        return rows, columns

    def below(self, rows: slice, columns: slice) -> "Edges":
        """Return the edges counted from where such a window begins."""
        corner = (columns.start, rows.start)
        return Edges(self.start - corner, self.stop - corner)


def paint(
    raster: npt.NDArray[np.uint8], value: int, edges: Edges, spend: Callable[[int], None]
) -> None:
    """Give the cells whose centres lie inside a value. edges: `within` the raster."""
    height, width = raster.shape
    rows, columns = edges.window((height, width))
    part = raster[rows, columns]
    spend(OF_CALL + part.size // SHARE)
    if part.size:
        shape = rows.stop - rows.start, columns.stop - columns.start
        part[inside(edges.below(rows, columns), shape, spend)] = value


def inside(edges: Edges, shape: tuple[int, int], spend: Callable[[int], None]) -> Bool:
    """Return which centres of a raster's cells lie inside, bool of `shape` (rows, columns).

    edges: `within` the raster, a cell being 1 × 1. spend: told what it costs; may raise.
    """
    rows, columns = shape
    first = np.clip(np.ceil(edges.start[:, 1] - 0.5), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(edges.stop[:, 1] - 0.5), 0, rows).astype(np.int64)
    counts = np.zeros(rows * (columns + 1), np.int64)
    for edge, row in cuts(first, last, spend):
        (x0, y0), (x1, y1) = edges.start[edge].T, edges.stop[edge].T
        x = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        column = np.clip(np.floor(x - 0.5) + 1, 0, columns).astype(np.int64)
        counts += np.bincount(row * (columns + 1) + column, minlength=len(counts))
    odd: Bool = counts.reshape(rows, columns + 1)[:, :-1].cumsum(axis=1) % 2 == 1
    return odd


def crossed(edges: Edges, shape: tuple[int, int], rim: float, spend: Callable[[int], None]) -> Bool:
    """Return the cells into which an edge reaches further than the rim, bool of `shape`."""
    rows, columns = shape
    first = np.clip(np.floor(edges.start[:, 1] + rim), 0, rows).astype(np.int64)
    last = np.clip(np.floor(edges.stop[:, 1] - rim) + 1, 0, rows).astype(np.int64)
    changes = np.zeros(rows * (columns + 1), np.int64)
    for edge, row in cuts(first, last, spend):
        (x0, y0), (x1, y1) = edges.start[edge].T, edges.stop[edge].T
        # a level edge lies in its row from end to end
        slope = np.divide(x1 - x0, y1 - y0, out=np.zeros_like(x0), where=y1 > y0)
        top = np.where(y1 > y0, x0 + (np.maximum(y0, row + rim) - y0) * slope, x0)
        bottom = np.where(y1 > y0, x0 + (np.minimum(y1, row + 1 - rim) - y0) * slope, x1)
        left = np.clip(np.floor(np.minimum(top, bottom) + rim), 0, columns).astype(np.int64)
        right = np.clip(np.floor(np.maximum(top, bottom) - rim) + 1, 0, columns).astype(np.int64)
        there = right > left
        place = row[there] * (columns + 1)
        changes += np.bincount(place + left[there], minlength=len(changes))
        changes -= np.bincount(place + right[there], minlength=len(changes))
    return changes.reshape(rows, columns + 1)[:, :-1].cumsum(axis=1) > 0


def cuts(first: Int, last: Int, spend: Callable[[int], None]) -> Iterator[tuple[Int, Int]]:
    """Yield edges and the rows that they span, [first, last) of each, some at a time."""
    count = np.maximum(last - first, 0)
    spend(len(count) // SHARE + int(count.sum()))
    some = np.flatnonzero(count)
    ends = np.cumsum(count[some])
    for piece in np.split(some, np.searchsorted(ends, range(AT_ONCE, int(count.sum()), AT_ONCE))):
        if len(piece):
            each = np.repeat(np.arange(len(piece)), count[piece])
            begin = np.cumsum(count[piece]) - count[piece]
            yield piece[each], first[piece][each] + np.arange(len(each)) - begin[each]
