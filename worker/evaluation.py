"""How good a predictor is on people's masks: pooled over all pixels, and slide by slide."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.prediction import Predictor
from worker.data import Labelled

IGNORE = 127
THRESHOLD = 0.5


@dataclass(frozen=True)
class Counts:
    """Pixels by truth and proposal; pixels marked `ignore` are in none of them."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    @property
    def dice(self) -> float:
        return ratio(
            2 * self.true_positive,
            2 * self.true_positive + self.false_positive + self.false_negative,
        )

    @property
    def iou(self) -> float:
        return ratio(
            self.true_positive, self.true_positive + self.false_positive + self.false_negative
        )

    @property
    def precision(self) -> float:
        return ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        return ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def membrane(self) -> int:
        return self.true_positive + self.false_negative


def ratio(part: int, whole: int) -> float:
    """Return part/whole; nothing out of nothing is all of it."""
    return part / whole if whole else 1.0


@dataclass(frozen=True)
class Evaluation:
    """A predictor on a set of patches, counts by slide (sha256)."""

    patches: int
    by_slide: dict[str, Counts]

    @property
    def pooled(self) -> Counts:
        return sum(self.by_slide.values(), Counts())

    def figures(self) -> dict[str, Any]:
        """Return what a round's metrics show."""
        pooled = self.pooled
        return {
            "dice": pooled.dice,
            "iou": pooled.iou,
            "precision": pooled.precision,
            "recall": pooled.recall,
            "patches": self.patches,
            "by_slide": [
                {"slide_sha256": sha256, "dice": counts.dice, "iou": counts.iou}
                for sha256, counts in sorted(self.by_slide.items())
            ],
        }


def evaluate(predictor: Predictor, labelled: Labelled, check: Callable[[], None]) -> Evaluation:
    """Compare a predictor's membranes (probability ≥ 0.5) with people's masks."""
    by_slide: dict[str, Counts] = {}
    size = predictor.batch_size
    for start in range(0, len(labelled.images), size):
        check()
        membrane = predictor(labelled.images[start : start + size]).probability >= THRESHOLD
        for offset, proposal in enumerate(membrane):
            sha256 = labelled.groups[start + offset]
            counts = compare(proposal, labelled.masks[start + offset])
            by_slide[sha256] = by_slide.get(sha256, Counts()) + counts
    return Evaluation(len(labelled.images), by_slide)


def compare(proposal: npt.NDArray[np.bool_], mask: npt.NDArray[np.uint8]) -> Counts:
    """Count a proposal (H, W) against a mask (H, W) of 0, 127 and 255."""
    known = mask != IGNORE
    truth = mask > IGNORE
    return Counts(
        int(np.count_nonzero(proposal & truth)),
        int(np.count_nonzero(proposal & known & ~truth)),
        int(np.count_nonzero(~proposal & truth)),
    )
