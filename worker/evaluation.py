"""How good a predictor is on people's masks: pooled over all pixels, and slide by slide."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.metrics import Counts, compare
from models.prediction import Predictor
from worker.data import Labelled

THRESHOLD = 0.5


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
