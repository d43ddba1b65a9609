"""Areas worth a look: doubt gathered into few places, the most doubtful first.

Doubt is greatest along every border of a proposal, whether the proposal is right or not, and a
person is not helped by outlines of outlines. So doubt is spread a little, which leaves the thin
lines of sure borders behind; what is left is merged where it is near, and small specks are nothing.
`python -m benchmarks.doubt` says which share of the true errors' areas they meet.

No torch here: the cold start's doubt is looked at in the same way.
"""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from models.semisup.confident import flagged

Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]
Doubt = Literal["entropy", "selector"]

LEAST_BITS = 0.6
"""Of the binary entropy, spread: a probability between 0.15 and 0.85 over some pixels."""
SPREAD_PX = 1.5
NEAR_PX = 9
"""Areas that are nearer than this are one: about a cell's membrane, 2 µm at 0.25 µm/px."""
LEAST_PX = 32
"""Smaller areas are left out: 2 µm², less than a person would correct."""
MOST = 8
"""Of a patch: what one glance takes in."""
LEAST_SHARE = 0.001
"""A class with a smaller share of the pixels is not judged (eugmt.md §1.4, guards)."""


def uncertain_pixels(probability: Float, students: Bool) -> Bool:
    """Return the pixels that the paper's selector doubts: bool (B, H, W).

    A pixel is uncertain if confident learning doubts the label that any student gives it against
    the teacher's probability. All pixels passed are one scope, so thresholds are those of the
    tissue shown and not of one patch. probability: (B, H, W); students: (S, B, H, W).
    """
    least = round(LEAST_SHARE * probability.size)
    uncertain = np.zeros(probability.shape, np.bool_)
    for labels in students:
        uncertain |= flagged(labels, probability, least_count=least)
    return uncertain


def bits(probability: Float) -> Float:
    """Return the binary entropy of each pixel, 0 to 1."""
    p = probability.clip(1e-7, 1 - 1e-7).astype(np.float32)
    entropy: Float = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return entropy


def worth_a_look(probability: Float, students: Bool, by: Doubt = "entropy") -> Bool:
    """Return the pixels of a batch's areas worth a look: bool (B, H, W), at most `MOST` areas each.

    by: `entropy`, where the teacher is unsure, which is where errors are; or `selector`, the
    paper's. probability: (B, H, W), one half where the proposal turns; students: (S, B, H, W).
    """
    doubt = bits(probability)
    if by == "selector":
        doubtful = uncertain_pixels(probability, students)
    else:
        spread = [cv2.GaussianBlur(each, (0, 0), SPREAD_PX) for each in doubt]
        doubtful = np.stack(spread) >= LEAST_BITS
    return np.stack([merged(*each) for each in zip(doubtful, doubt, strict=True)])


def merged(doubtful: Bool, doubt: Float) -> Bool:
    """Merge near pixels (H, W) to areas and return those of the areas that hold most doubt."""
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (NEAR_PX, NEAR_PX))
    closed = cv2.morphologyEx(doubtful.astype(np.uint8), cv2.MORPH_CLOSE, near)
    count, labels, figures, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    held = np.bincount(labels.ravel(), doubt.ravel(), count)
    held[figures[:, cv2.CC_STAT_AREA] < LEAST_PX] = 0
    held[0] = 0
    chosen: Sequence[int] = np.argsort(-held, kind="stable")[:MOST].tolist()
    retained = np.zeros(count, np.bool_)
    retained[[each for each in chosen if held[each] > 0]] = True
    pixels: Bool = retained[labels]
    return pixels
