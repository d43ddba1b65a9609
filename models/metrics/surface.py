"""Distances between the surfaces of two masks, in px (eugmt.md §6.1).

A surface is a mask without its 4-neighbour erosion; pixels at the picture's edge belong to it.
These are medpy's definitions, computed with SciPy.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, distance_transform_edt, generate_binary_structure

Mask = npt.NDArray[np.bool_]
Lengths = npt.NDArray[np.float64]
CROSS = generate_binary_structure(2, 1)


@dataclass(frozen=True)
class Distances:
    """asd: mean distance from the proposal's surface to the truth's (directed). assd: the mean of
    both directions. hd, hd95: the largest of both, and their 95th percentile. px.
    """

    asd: float
    assd: float
    hd: float
    hd95: float


def surface(mask: Mask) -> Mask:
    border: Mask = mask & ~binary_erosion(mask, CROSS)
    return border


def between(proposal: Mask, truth: Mask) -> tuple[Lengths, Lengths]:
    """Distances of each surface pixel to the other surface: of the proposal's, of the truth's.

    Raises ValueError if a mask is empty: there is no distance to nothing.
    """
    if not proposal.any() or not truth.any():
        raise ValueError("an empty mask has no surface")
    ours, theirs = surface(proposal), surface(truth)
    to_theirs: Lengths = distance_transform_edt(~theirs)
    to_ours: Lengths = distance_transform_edt(~ours)
    return to_theirs[ours], to_ours[theirs]


def distances(proposal: Mask, truth: Mask) -> Distances:
    """Return the distances of two masks (H, W) that are not empty; else ValueError."""
    return summarised(*between(proposal, truth))


def summarised(forth: Lengths, back: Lengths) -> Distances:
    """Sum up the distances of `between`."""
    both = np.concatenate([forth, back])
    return Distances(
        asd=float(forth.mean()),
        assd=float((forth.mean() + back.mean()) / 2),
        hd=float(both.max()),
        hd95=float(np.percentile(both, 95)),
    )


def boundary_f1(forth: Lengths, back: Lengths, tolerance: float) -> float:
    """F1 of the surface pixels that have a counterpart within `tolerance` px."""
    precision, recall = float((forth <= tolerance).mean()), float((back <= tolerance).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
