"""How what a file stores becomes upright: EXIF and TIFF orientations 1 to 8.

Upright is the stored picture with rows and columns exchanged (5 to 8), then mirrored.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

EXCHANGED = frozenset({5, 6, 7, 8})
MIRRORED_ACROSS = frozenset({2, 3, 6, 7})
MIRRORED_DOWN = frozenset({3, 4, 7, 8})
Kind = TypeVar("Kind", bound=np.generic)


def upright(stored: npt.NDArray[Kind], orientation: int) -> npt.NDArray[Kind]:
    """Turn pixels (H, W, …) upright; a view where that is enough."""
    turned = stored.swapaxes(0, 1) if orientation in EXCHANGED else stored
    if orientation in MIRRORED_ACROSS:
        turned = turned[:, ::-1]
    return turned[::-1] if orientation in MIRRORED_DOWN else turned


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return the width and height that a stored picture has when upright."""
    return (height, width) if orientation in EXCHANGED else (width, height)
