"""Whose ground is it: cells grow from their nuclei over limited ground; holes may be cells too."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Label = npt.NDArray[np.int32]
Bool = npt.NDArray[np.bool_]

R_MAX_UM = 8.0
_CLOSE_UM = 1.5
_LEAST_UM2, _MOST_UM2 = 20.0, 400.0
_WIDEST_UM = 32.0
_CORE_UM = 3.0


def territories(labels: Label, mpp: float, r_max_um: float = R_MAX_UM) -> Label:
    """Give ground to the nearest nucleus edge within `r_max_um`: int32 (H, W), 0 is nobody's.

    By pixel, not by component: touching nuclei keep their own ground (her2.md §3.3).
    """
    inside = labels > 0
    if not inside.any():
        return np.zeros_like(labels)
    distance, place = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(place.max()) + 1, np.int32)
    nuclei = np.flatnonzero(inside)
    owner[np.take(place, nuclei)] = np.take(labels, nuclei)
    out: Label = np.take(owner, np.asarray(place, np.int32))
    out *= np.asarray(distance) <= r_max_um / mpp
    return out


@dataclass(frozen=True)
class Filled:
    """A label map with cells added that show no nucleus, and the numbers of those."""

    labels: Label
    added: npt.NDArray[np.int32]


def fill_holes(labels: Label, membrane: Bool, mpp: float) -> Filled:
    """Add a cell for every hole of the closed membrane, 20–400 µm², that holds no nucleus.

    Strongly stained cells cut beside their nucleus would be lost otherwise. The seed is the hole
    within 3 µm of its middle.
    """
    size = 2 * round(_CLOSE_UM / mpp) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    closed = cv2.morphologyEx(membrane.astype(np.uint8), cv2.MORPH_CLOSE, disc)
    count, part, stats, middle = cv2.connectedComponentsWithStats(1 - closed, connectivity=4)
    area = stats[:, cv2.CC_STAT_AREA] * mpp * mpp
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    wide, high = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    good = (area >= _LEAST_UM2) & (area <= _MOST_UM2)
    good &= (wide * mpp <= _WIDEST_UM) & (high * mpp <= _WIDEST_UM)
    good &= (left > 0) & (top > 0)
    good &= (left + wide < labels.shape[1]) & (top + high < labels.shape[0])
    good[0] = False
    good[part[labels > 0]] = False
    holes = np.flatnonzero(good[:count])
    out = labels.copy()
    first = int(labels.max(initial=0)) + 1
    radius = _CORE_UM / mpp
    for number, hole in enumerate(holes, start=first):
        col, row = middle[hole]
        box = np.s_[
            max(0, int(row - radius)) : int(row + radius) + 2,
            max(0, int(col - radius)) : int(col + radius) + 2,
        ]
        out[box][part[box] == hole] = number
    return Filled(out, np.arange(first, first + len(holes), dtype=np.int32))
