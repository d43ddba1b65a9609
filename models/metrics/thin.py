"""What counts for thin membranes: do the centre lines agree, whatever the width?"""

import cv2
import numpy as np
import numpy.typing as npt

from models.metrics.counts import ratio

Mask = npt.NDArray[np.bool_]
CLOCKWISE = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""The neighbours P2 … P9 of Zhang and Suen, from above on: (row, column)."""


def weights() -> npt.NDArray[np.float32]:
    kernel = np.zeros((3, 3), np.float32)
    for bit, (row, column) in enumerate(CLOCKWISE):
        kernel[1 + row, 1 + column] = 1 << bit
    return kernel


def removable(*, second: bool) -> npt.NDArray[np.bool_]:
    """For each of 256 neighbourhoods, whether Zhang and Suen's sub-iteration takes the pixel."""
    table = np.zeros(256, np.bool_)
    for code in range(256):
        p = [code >> bit & 1 for bit in range(8)]
        rises = sum(not p[bit] and p[(bit + 1) % 8] for bit in range(8))
        north, east, south, west = p[0], p[2], p[4], p[6]
        if second:
            corner = not (north and east and west) and not (north and south and west)
        else:
            corner = not (north and east and south) and not (east and south and west)
        table[code] = 2 <= sum(p) <= 6 and rises == 1 and corner
    return table


WEIGHTS = weights()
REMOVABLE = (removable(second=False), removable(second=True))


def skeleton(mask: Mask) -> Mask:
    """Thin a mask (H, W) to lines one pixel wide (Zhang and Suen, CACM 27, 1984)."""
    left = mask.astype(np.uint8)
    changed = True
    while changed:
        changed = False
        for table in REMOVABLE:
            codes = cv2.filter2D(left, cv2.CV_32F, WEIGHTS, borderType=cv2.BORDER_CONSTANT)
            taken = table[codes.astype(np.uint8)] & (left > 0)
            if taken.any():
                left[taken] = 0
                changed = True
    return left > 0


def cl_dice(proposal: Mask, truth: Mask) -> float:
    """Harmonic mean of the shares of each skeleton that lie in the other mask (arXiv 2003.07311).

    Neither mask is empty.
    """
    ours, theirs = skeleton(proposal), skeleton(truth)
    precision = ratio(int((ours & truth).sum()), int(ours.sum()))
    recall = ratio(int((theirs & proposal).sum()), int(theirs.sum()))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
