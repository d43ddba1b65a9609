"""Errors as people make them, planted into a mask whose truth is known.

What an audit of people's masks finds can only be counted where somebody knows what is wrong: a
membrane that was never drawn, a cell filled to its rim, a stroke beside the membrane.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int32]
Piece = npt.NDArray[np.bool_]
BACKGROUND, IGNORE, MEMBRANE = 0, 127, 255
REACH_PX = 48
"""Side of the window that a stroke is cut from: about one cell at 0.25 µm/px.

Membranes of neighbouring cells, and whole vessel trees, are one connected piece: nobody forgets
all of it.
"""
SHIFT_PX = 6
SMALLEST_STROKE, SMALLEST_INSIDE, LARGEST_INSIDE = 40, 40, 6000
TRIES = 20


class Mistake(StrEnum):
    DROPPED = "dropped"
    FILLED = "filled"
    SHIFTED = "shifted"


@dataclass(frozen=True)
class Planted:
    """A mask with errors.

    mask: uint8 (H, W). errors: int32 (H, W), 0 where the mask is as it was, else the number of
    the error that changed the pixel, from 1. A mask that offers nothing to spoil has none.
    """

    mask: Mask
    errors: Numbers

    @property
    def count(self) -> int:
        return int(self.errors.max(initial=0))


def plant(mask: Mask, mistake: Mistake, *, count: int, seed: int) -> Planted:
    """Make up to `count` mistakes of a kind, apart from each other; 127 (ignore) stays.

    mask: uint8 (H, W) of 0, 127 and 255. Equal seeds make equal mistakes.
    """
    drawn = np.random.default_rng(seed)
    spoilt, errors = mask.copy(), np.zeros(mask.shape, np.int32)
    number = 0
    for wrong in CHANGES[mistake](mask, drawn):
        changed = (wrong != mask) & (mask != IGNORE)
        # next to another one it would be one error with it
        near = cv2.dilate(changed.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        if not changed.any() or errors[near].any():
            continue
        number += 1
        errors[changed] = number
        spoilt[changed] = wrong[changed]
        if number == count:
            break
    return Planted(spoilt, errors)


def dropped(mask: Mask, drawn: np.random.Generator) -> Iterator[Mask]:
    """Yield the mask without a stroke, a drawn one each time."""
    for stroke in strokes(mask, drawn):
        yield np.where(stroke, np.uint8(BACKGROUND), mask)


def shifted(mask: Mask, drawn: np.random.Generator) -> Iterator[Mask]:
    """Yield the mask with a stroke moved by SHIFT_PX in a drawn direction."""
    for stroke in strokes(mask, drawn):
        angle = drawn.uniform(0, 2 * np.pi)
        down, right = np.rint(SHIFT_PX * np.array([np.sin(angle), np.cos(angle)])).astype(int)
        without = np.where(stroke, np.uint8(BACKGROUND), mask)
        yield np.where(moved(stroke, down, right), np.uint8(MEMBRANE), without)


def filled(mask: Mask, drawn: np.random.Generator) -> Iterator[Mask]:
    """Yield the mask with the inside of a closed contour painted, each once, in drawn order."""
    holes = insides(mask)
    for index in drawn.permutation(len(holes)).tolist():
        yield np.where(holes[index], np.uint8(MEMBRANE), mask)


CHANGES = {Mistake.DROPPED: dropped, Mistake.FILLED: filled, Mistake.SHIFTED: shifted}


def strokes(mask: Mask, drawn: np.random.Generator) -> Iterator[Piece]:
    """Yield connected pieces of membrane that lie in a window of REACH_PX, bool (H, W)."""
    rows, columns = np.nonzero(mask == MEMBRANE)
    if not len(rows):
        return
    for index in drawn.integers(len(rows), size=TRIES).tolist():
        row, column = int(rows[index]), int(columns[index])
        top, left = max(row - REACH_PX // 2, 0), max(column - REACH_PX // 2, 0)
        window = np.s_[top : top + REACH_PX, left : left + REACH_PX]
        _, pieces = cv2.connectedComponents(
            (mask[window] == MEMBRANE).astype(np.uint8), connectivity=8
        )
        stroke = np.zeros(mask.shape, np.bool_)
        stroke[window] = pieces == pieces[row - top, column - left]
        if np.count_nonzero(stroke) >= SMALLEST_STROKE:
            yield stroke


def moved(piece: Piece, down: int, right: int) -> Piece:
    """Return a piece shifted by so many px; what leaves the picture is gone."""
    rows, columns = np.nonzero(piece)
    rows, columns = rows + down, columns + right
    height, width = piece.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    result = np.zeros_like(piece)
    result[rows[inside], columns[inside]] = True
    return result


def insides(mask: Mask) -> list[Piece]:
    """Return what membranes enclose: background that reaches neither the edge nor 127."""
    # where membranes touch by a corner only, a brush has closed the contour
    _, areas = cv2.connectedComponents((mask != MEMBRANE).astype(np.uint8), connectivity=4)
    edge = np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1], areas[mask == IGNORE]])
    sizes = np.bincount(areas.ravel())
    fit = np.flatnonzero((sizes >= SMALLEST_INSIDE) & (sizes <= LARGEST_INSIDE))
    return [areas == number for number in np.setdiff1d(fit, [0, *np.unique(edge)])]
