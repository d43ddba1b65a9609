"""Where a phantom's tumour lies: the region that a pathologist would outline."""

import numpy as np
import numpy.typing as npt

from models.phantom import cells as lattice
from models.phantom.cells import TUMOUR
from models.phantom.spec import PhantomSpec


def tumour_mask(
    spec: PhantomSpec, x0: int, y0: int, width: int, height: int
) -> npt.NDArray[np.bool_]:
    """Return the tumour's ground in a level-0 box, every second pixel: bool (H/2, W/2)."""
    x = (np.arange(0, width, 2) + 1 + x0) * spec.mpp
    y = (np.arange(0, height, 2) + 1 + y0) * spec.mpp
    wx, wy = lattice.warp(spec, x, y)
    block = lattice.block(spec, wx, wy)
    owner, _ = lattice.nearest(block, wx, wy)
    return np.asarray(block.kind.ravel()[owner] == TUMOUR)


def richest_place(spec: PhantomSpec, side: int, far: int = 0) -> tuple[int, int]:
    """Return the corner of the first of 40 boxes of `side` px with over 70 % tumour, else the best.

    Boxes lie in the spec's endless tissue, `far` px from its origin.
    """
    full = (side * spec.mpp) ** 2 / (spec.cell_um**2 * 0.866)
    best, most = (far, 0), -1.0
    for k in range(40):
        x0, y0 = far + 2 * side * (k % 8), 2 * side * (k // 8)
        share = len(lattice.cells_in(spec, x0, y0, side, side).label) / full
        if share > most:
            best, most = (x0, y0), share
        if share > 0.7:
            break
    return best
