"""What a mask is worth beside a traced one: Dice, and precision and recall within two pixels.

All are cut at one half: a single source of membranes is too little to choose another threshold, as
it is for a round (`models.metrics.threshold.LEAST_GROUPS`).
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.starter.sources import IGNORE, MEMBRANE, Crop
from models.metrics.threshold import HALF
from models.stain_rules import StainRules, no_membrane, wrong_colour

Float = npt.NDArray[np.float32]
NEAR = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


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


@cache
def wrong(crop: Crop) -> npt.NDArray[np.bool_]:
    return wrong_colour(crop.image, StainRules())


def tally(probability: Float, crop: Crop, *, ruled: bool) -> Tally:
    """Count one crop: probability (H, W). ruled: without what the stain rules take for none."""
    decided = crop.mask != IGNORE
    proposed = probability >= HALF
    if ruled:
        proposed &= ~no_membrane(proposed, wrong(crop), StainRules())
    proposed &= decided
    truth = crop.mask == MEMBRANE
    near = [cv2.dilate(each.astype(np.uint8), NEAR) > 0 for each in (truth, proposed)]
    counts = (*(proposed & truth, proposed, truth, proposed & near[0], truth & near[1], decided),)
    return Tally(*(int(each.sum()) for each in counts))


def pooled(crops: Sequence[Crop], probabilities: Float, *, ruled: bool = True) -> Tally:
    pairs = zip(crops, probabilities, strict=True)
    return sum((tally(each, crop, ruled=ruled) for crop, each in pairs), Tally())
