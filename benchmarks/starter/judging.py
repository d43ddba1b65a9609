"""What a mask is worth beside a traced one: Dice, and precision and recall within two pixels."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.starter.sources import IGNORE, MEMBRANE, Crop

Float = npt.NDArray[np.float32]
NEAR = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
LEVELS = tuple(round(0.05 + 0.01 * number, 2) for number in range(91))
"""Thresholds tried."""


@dataclass(frozen=True)
class Tally:
    """Pixels, pooled over crops; undecided ones are out on both sides.

    near_truth: proposed ones within two pixels of the truth; near_proposed: the other way round.
    """

    hit: int = 0
    proposed: int = 0
    truth: int = 0
    near_truth: int = 0
    near_proposed: int = 0
    pixels: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def dice(self) -> float:
        return 2 * self.hit / max(self.proposed + self.truth, 1)

    def document(self) -> dict[str, Any]:
        precision = self.near_truth / max(self.proposed, 1)
        recall = self.near_proposed / max(self.truth, 1)
        return {
            "dice": round(self.dice, 4),
            "near_dice": round(2 * precision * recall / max(precision + recall, 1e-9), 4),
            "near_precision": round(precision, 4),
            "near_recall": round(recall, 4),
            "proposed_share": round(self.proposed / max(self.pixels, 1), 5),
            "truth_share": round(self.truth / max(self.pixels, 1), 5),
        }


def tally(probability: Float, mask: npt.NDArray[np.uint8], threshold: float) -> Tally:
    """Count one crop: probability (H, W), mask of 0, 127 and 255."""
    decided = mask != IGNORE
    proposed = (probability >= threshold) & decided
    truth = mask == MEMBRANE
    near = [cv2.dilate(each.astype(np.uint8), NEAR) > 0 for each in (truth, proposed)]
    counts = (*(proposed & truth, proposed, truth, proposed & near[0], truth & near[1], decided),)
    return Tally(*(int(each.sum()) for each in counts))


def pooled(crops: Sequence[Crop], probabilities: Float, threshold: float) -> Tally:
    pairs = zip(crops, probabilities, strict=True)
    return sum((tally(each, crop.mask, threshold) for crop, each in pairs), Tally())


def dice_by_level(crops: Sequence[Crop], probabilities: Float) -> npt.NDArray[np.float64]:
    """Return the pooled Dice at each of LEVELS."""
    return np.array([pooled(crops, probabilities, level).dice for level in LEVELS])


def best_level(curves: Sequence[npt.NDArray[np.float64]]) -> tuple[float, float]:
    """Return the threshold of the highest mean Dice over sources, and that Dice.

    Of thresholds within 0.002 of the best the one nearest to 0.5: a choice on few crops must not
    hang on noise.
    """
    mean = np.mean(curves, axis=0)
    good = np.flatnonzero(mean >= mean.max() - 0.002)
    chosen = int(good[np.abs(np.array(LEVELS)[good] - 0.5).argmin()])
    return LEVELS[chosen], float(mean[chosen])
