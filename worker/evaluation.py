"""How good a predictor is on people's masks: pooled over all pixels, and slide by slide."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from models.metrics import Counts, compare
from models.prediction import Predictor
from worker.data import Labelled

THRESHOLD = 0.5


@dataclass(frozen=True)
class Evaluation:
    """A predictor on a set of patches: for each its slide (sha256) and its counts, in order."""

    by_patch: tuple[tuple[str, Counts], ...]

    @property
    def patches(self) -> int:
        return len(self.by_patch)

    @property
    def by_slide(self) -> dict[str, Counts]:
        totals: dict[str, Counts] = {}
        for sha256, counts in self.by_patch:
            totals[sha256] = totals.get(sha256, Counts()) + counts
        return totals

    @property
    def pooled(self) -> Counts:
        return sum((counts for _, counts in self.by_patch), Counts())

    def only(self, numbers: Collection[int]) -> "Evaluation":
        """Return the same of some of the patches, by their numbers from 0."""
        chosen = (each for number, each in enumerate(self.by_patch) if number in numbers)
        return Evaluation(tuple(chosen))

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
    by_patch: list[tuple[str, Counts]] = []
    size = predictor.batch_size
    for start in range(0, len(labelled.images), size):
        check()
        membrane = predictor(labelled.images[start : start + size]).probability >= THRESHOLD
        for offset, proposal in enumerate(membrane):
            number = start + offset
            by_patch.append((labelled.groups[number], compare(proposal, labelled.masks[number])))
    return Evaluation(tuple(by_patch))
