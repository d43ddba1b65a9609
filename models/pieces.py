"""Pieces of a mask by their shape: lumps are brown nuclei or smears, crumbs are too short."""

import cv2
import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]
Byte = npt.NDArray[np.uint8]


def lumps(mask: Bool, thickest: int, largest: int, arm: int, hole: int, filled: float) -> Bool:
    """Return the pieces of a mask, bool (H, W), that are a lump and not a net of lines.

    Discs of `thickest` px fill at least the share `filled` of a lump; nothing of it reaches
    farther than `arm` px from them (0: however far), and its area is `largest` px at most. Holes
    of up to `hole` px are filled first: chromatin and glare.
    """
    disc, rim = _disc(thickest), _disc(5)
    # holes of a few pixels must not make a lump look thin
    pieces = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, rim)
    pieces = _filled(np.asarray(pieces, np.uint8), hole)
    core = cv2.morphologyEx(pieces, cv2.MORPH_OPEN, disc)
    count, numbers = cv2.connectedComponents(pieces, connectivity=8)
    area = np.bincount(numbers.ravel(), minlength=count)
    inner = np.bincount(numbers[core > 0], minlength=count)
    solid = (inner >= filled * area) & (area <= largest)
    if arm and solid[1:].any():
        away = cv2.distanceTransform(1 - core, cv2.DIST_L2, 5)
        solid[numbers[(away > arm) & (pieces > 0)]] = False
    solid[0] = False
    return np.asarray(solid[numbers])


def crumbs(mask: Bool, least: int, join: int = 9) -> Bool:
    """Return the pieces of a mask, bool (H, W), whose bounds have a diagonal under `least` px.

    Pieces with a gap of under `join` px are one: a weak membrane is a row of them.
    """
    padded = np.pad(mask.astype(np.uint8), join)
    joined = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, _disc(join))[join:-join, join:-join]
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    width, height = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    short = np.hypot(width, height) < least
    short[0] = False
    return np.asarray(short[numbers]) & mask


def _filled(pieces: Byte, most: int) -> Byte:
    if not most:
        return pieces
    count, numbers = cv2.connectedComponents(1 - pieces, connectivity=4)
    small = np.bincount(numbers.ravel(), minlength=count) <= most
    small[0] = False
    return np.asarray(pieces | small[numbers], np.uint8)


def _disc(size: int) -> Byte:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
