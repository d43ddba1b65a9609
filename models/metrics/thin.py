"""What counts for thin membranes: do the centre lines agree, whatever the width?"""

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
AROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""The neighbours x1 … x8, from the right one on and against the clock: (row, column)."""


def weights() -> npt.NDArray[np.float32]:
    kernel = np.zeros((3, 3), np.float32)
    for bit, (row, column) in enumerate(AROUND):
        kernel[1 + row, 1 + column] = 1 << bit
    return kernel


def staying(*, second: bool) -> npt.NDArray[np.uint8]:
    """For each of 256 neighbourhoods, 0 if the sub-iteration takes the pixel, else 1."""
    table = np.ones(256, np.uint8)
    for code in range(256):
        x = [0, *(code >> bit & 1 for bit in range(8))]
        x.append(x[1])
        odd, even = (1, 3, 5, 7), (2, 4, 6, 8)
        pieces = sum(not x[k] and (x[k + 1] or x[k + 2]) for k in odd)
        fewest = min(sum(x[k] or x[k + 1] for k in odd), sum(x[k] or x[k + 1] for k in even))
        if second:
            wanted = (x[6] or x[7] or not x[4]) and x[5]
        else:
            wanted = (x[2] or x[3] or not x[8]) and x[1]
        if pieces == 1 and 2 <= fewest <= 3 and not wanted:
            table[code] = 0
    return table


WEIGHTS = weights()
STAYING = (staying(second=False), staying(second=True))


def skeleton(mask: Mask) -> Mask:
    """Thin a mask (H, W) to lines one pixel wide; each piece and each hole remains.

    Guo and Hall's parallel thinning (CACM 32, 1989) in the form of Lam, Lee and Suen (PAMI 14,
    1992). Zhang and Suen's rule won't do: of a slanting line two pixels wide, which is what a
    membrane often is, it leaves next to nothing.
    """
    left = mask.astype(np.uint8)
    while True:
        before = left
        for table in STAYING:
            codes = cv2.filter2D(left, -1, WEIGHTS, borderType=cv2.BORDER_CONSTANT)
            left = left & np.asarray(cv2.LUT(codes, table), np.uint8)
        if np.array_equal(left, before):
            return left > 0


def cl_dice(proposal: Mask, truth: Mask) -> float:
    """Harmonic mean of the shares of each skeleton that lie in the other mask (arXiv 2003.07311).

    Neither mask is empty.
    """
    ours, theirs = skeleton(proposal), skeleton(truth)
    precision = float((ours & truth).sum() / ours.sum())
    recall = float((theirs & proposal).sum() / theirs.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
