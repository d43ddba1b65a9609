"""Distances between the surfaces of two masks, in px (eugmt.md §6.1).

A surface is a mask without its 4-neighbour erosion; pixels at the picture's edge belong to it.
The definitions are medpy's; nothing of its code, which is GPL, is used.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

Mask = npt.NDArray[np.bool_]
Lengths = npt.NDArray[np.float64]

EXACT_BELOW = 2**22
"""px²: the square of a smaller distance in single precision rounds to the integer that it is."""


@dataclass(frozen=True)
class Distances:
    """asd: mean distance from the proposal's surface to the truth's (directed). assd: the mean
    over the pixels of both surfaces together. hd, hd95: the largest of them, and their 95th
    percentile. px.
    """

    asd: float
    assd: float
    hd: float
    hd95: float


def surface(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    border: Mask = mask & ~inside
    return border


def between(proposal: Mask, truth: Mask) -> tuple[Lengths, Lengths]:
    """Distances of each surface pixel to the other surface: of the proposal's, of the truth's.

    Raises ValueError if a mask is empty: there is no distance to nothing.
    """
    if not proposal.any() or not truth.any():
        raise ValueError("an empty mask has no surface")
    ours, theirs = surface(proposal), surface(truth)
    return nearest(ours, theirs), nearest(theirs, ours)


def nearest(points: Mask, others: Mask) -> Lengths:
    """Euclidean distance of each of the points to the nearest of the others.

    OpenCV's exact transform takes a fifth of SciPy's time, in single precision; what it squares to
    is an integer, so rounding brings the exact distance back.
    """
    if points.shape[0] ** 2 + points.shape[1] ** 2 >= EXACT_BELOW:
        exact: Lengths = distance_transform_edt(~others)[points]
        return exact
    away = (~others).astype(np.uint8)
    single = cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[points]
    return np.sqrt(np.rint(np.square(single, dtype=np.float64)))


def distances(proposal: Mask, truth: Mask) -> Distances:
    """Return the distances of two masks (H, W) that are not empty; else ValueError."""
    return summarised(*between(proposal, truth))


def summarised(forth: Lengths, back: Lengths) -> Distances:
    """Sum up the distances of `between`."""
    both = np.concatenate([forth, back])
    return Distances(
        asd=float(forth.mean()),
        assd=float(both.mean()),
        hd=float(both.max()),
        hd95=float(np.percentile(both, 95)),
    )


def boundary_f1(forth: Lengths, back: Lengths, tolerance: float) -> float:
    """F1 of the surface pixels that have a counterpart within `tolerance` px."""
    precision, recall = float((forth <= tolerance).mean()), float((back <= tolerance).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
