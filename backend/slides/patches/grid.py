"""The analysis grid: 256×256 patches at the installation's micrometres per pixel.

The grid starts at the slide's top left corner; its last row and column may reach beyond the
slide, where pixels read as bare glass. Analysis px are pixels of this grid.
"""

import math
from typing import Protocol

from backend.kit.geometry import Region0

PATCH_PX = 256
NOISE = 1e-4
"""A scale this near 1 is rounding of a stored resolution: those pixels need no resampling."""


class Measured(Protocol):
    """A slide whose size (level-0 px) and pixel size (µm) are known."""

    @property
    def width(self) -> int | None: ...
    @property
    def height(self) -> int | None: ...
    @property
    def mpp(self) -> float | None: ...


def scale(mpp: float, analysis_mpp: float) -> float:
    """Return level-0 px per analysis px; above 1 the slide is finer than the analysis."""
    ratio = analysis_mpp / mpp
    return 1.0 if abs(ratio - 1) < NOISE else ratio


def measures(slide: Measured) -> tuple[int, int, float]:
    """Return width, height and mpp of a slide that has them; a ready one always has."""
    if slide.width is None or slide.height is None or slide.mpp is None:
        msg = "The slide is not measured yet."
        raise ValueError(msg)
    return slide.width, slide.height, slide.mpp


def analysis_size(slide: Measured, analysis_mpp: float) -> tuple[int, int]:
    """Return the slide's (width, height) in analysis px, rounded up."""
    width, height, mpp = measures(slide)
    px0 = scale(mpp, analysis_mpp)
    return math.ceil(width / px0 - NOISE), math.ceil(height / px0 - NOISE)


def grid_shape(slide: Measured, analysis_mpp: float) -> tuple[int, int]:
    """Return (rows, columns) of patches that cover the slide; at least one of each."""
    width, height = analysis_size(slide, analysis_mpp)
    return max(1, math.ceil(height / PATCH_PX)), max(1, math.ceil(width / PATCH_PX))


def patch_region(slide: Measured, row: int, column: int, analysis_mpp: float) -> Region0:
    """Return the level-0 box of a patch; it may reach beyond the slide's far edges."""
    return analysis_region(
        slide, column * PATCH_PX, row * PATCH_PX, PATCH_PX, PATCH_PX, analysis_mpp
    )


def analysis_region(
    slide: Measured, x: float, y: float, width: float, height: float, analysis_mpp: float
) -> Region0:
    """Return the level-0 box of a box given in analysis px."""
    _, _, mpp = measures(slide)
    return Region0(x, y, width, height).scaled(scale(mpp, analysis_mpp))
