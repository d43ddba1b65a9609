"""The pixels of a mask as COCO's objects: polygons where a shape allows it, else run lengths.

COCO's polygons know no holes, but several of them are one object: a shape with holes is cut along
columns through all of them, and what pycocotools draws of the parts is the shape, pixel for pixel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from backend.exchange.masks.outlines import pixel_shape

if TYPE_CHECKING:
    import shapely

Bool = npt.NDArray[np.bool_]
MOST_HOLES = 400
"""Of one shape: with more it is a texture and no object, and longer as polygons than as pixels."""


@dataclass(frozen=True)
class Shape:
    """Connected pixels: segmentation as COCO has it, bbox [x, y, width, height] and area in px."""

    segmentation: list[list[int]] | dict[str, Any]
    bbox: list[int]
    area: int


def connected(inside: Bool) -> Iterator[Shape]:
    """Yield the shapes of a mask (H, W); pixels that meet in a corner only are not connected."""
    # its library is loaded when somebody exports, not when the service starts
    import shapely

    for part in shapely.get_parts(pixel_shape(inside)):
        left, top, right, bottom = map(round, part.bounds)
        yield Shape(
            polygons_of(part) if len(part.interiors) <= MOST_HOLES else pixels_of(part, inside),
            [left, top, right - left, bottom - top],
            round(part.area),
        )


def polygons_of(part: "shapely.Polygon") -> list[list[int]]:
    """Return a polygon as rings without holes, each [x, y, x, y, …], not closed."""
    import shapely

    left, top, right, bottom = part.bounds
    edges = [left, *cuts([hole.bounds for hole in part.interiors]), right]
    pieces = (
        part if len(edges) == 2 else part.intersection(shapely.box(start, top, end, bottom))
        for start, end in pairwise(edges)
    )
    return [
        shapely.get_coordinates(ring)[:-1].round().astype(int).ravel().tolist()
        for piece in pieces
        # where a cut runs along an edge, a line may be left of it
        for polygon in shapely.get_parts(piece)
        if polygon.geom_type == "Polygon"
        for ring in [polygon.exterior]
    ]


def cuts(holes: Sequence[tuple[float, float, float, float]]) -> list[float]:
    """Return the fewest columns of which one runs through each hole (or along its left side)."""
    columns: list[float] = []
    for left, _, right, _ in sorted(holes, key=lambda bounds: bounds[2]):
        if not columns or columns[-1] < left:
            columns.append(right - 1)
    return columns


def pixels_of(part: "shapely.Polygon", inside: Bool) -> dict[str, Any]:
    import shapely

    y, x = np.nonzero(inside)
    one = np.zeros_like(inside)
    shapely.prepare(part)
    one[y, x] = shapely.contains_xy(part, x + 0.5, y + 0.5)
    return run_lengths(one)


def run_lengths(inside: Bool) -> dict[str, Any]:
    """Return pixels as COCO's uncompressed RLE: how many are out, in, out, … down the columns."""
    flat = inside.ravel(order="F")
    turns = np.flatnonzero(np.diff(flat, prepend=False))
    counts: list[int] = np.diff(turns, prepend=0, append=flat.size).tolist()
    return {"size": list(inside.shape), "counts": counts}
