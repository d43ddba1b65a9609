"""Masks as outlines and back, exactly: an outline follows the edges of pixels, and a pixel is
inside a shape if its centre is.

This is done in the API, by shapely, which checks regions there already: neither OpenCV's contours
(through the centres of border pixels, so that a hole grows and a line of one pixel has no area) nor
Pillow's polygons (which fill their border too) would give a mask back pixel for pixel. A patch
takes about a tenth of a second, and only one is held at a time.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from backend.slides.patches.grid import PATCH_PX

if TYPE_CHECKING:
    import shapely

Bool = npt.NDArray[np.bool_]
DECIMALS = 2
"""Of coordinates in level-0 px; a pixel's centre is much further from any edge."""


def geometry_of(inside: Bool, x0: float, y0: float, size0: float) -> dict[str, Any] | None:
    """Return the pixels of a patch, bool (256, 256), as GeoJSON; None if there are none.

    A Polygon or MultiPolygon with holes, level-0 px; x0, y0, size0: the patch's box. Pixels that
    meet in a corner only are not connected.
    """
    # its library is loaded when somebody draws, not when the service starts
    import shapely

    shape = pixel_shape(inside)
    if shape.is_empty:
        return None
    placed = shapely.transform(
        shape, lambda xy: (xy * (size0 / PATCH_PX) + (x0, y0)).round(DECIMALS)
    )
    geometry: dict[str, Any] = shapely.geometry.mapping(placed)
    return geometry


def pixel_shape(inside: Bool) -> "shapely.Geometry":
    """Return the outline of pixels, along their edges; empty if there are none."""
    import shapely

    y, x = np.nonzero(inside)
    # neighbouring pixels share whole edges: a coverage, whose union is quick
    return shapely.coverage_union_all(shapely.box(x, y, x + 1, y + 1)).simplify(0)
