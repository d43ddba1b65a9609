"""How good a predictor is on people's masks: pooled over all pixels, and slide by slide."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from models.metrics import Counts
from models.metrics.threshold import HALF, Levels
from models.prediction import Predictor
from worker.data import Labelled


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


@dataclass(frozen=True)
class Seen:
    """What a predictor thinks of a set of patches: for each its slide (sha256) and its levels."""

    by_patch: tuple[tuple[str, Levels], ...]

    def only(self, numbers: Collection[int]) -> "Seen":
        """Return the same of some of the patches, by their numbers from 0."""
        chosen = (each for number, each in enumerate(self.by_patch) if number in numbers)
        return Seen(tuple(chosen))

    def of_slides(self, slides: Collection[str]) -> dict[str, Levels]:
        """Return the levels of each slide of a collection that is among them."""
        totals: dict[str, Levels] = {}
        for sha256, levels in self.by_patch:
            if sha256 in slides:
                totals[sha256] = totals.get(sha256, Levels.none()) + levels
        return totals

    def cut(self, thresholds: Mapping[str, float], otherwise: float = HALF) -> Evaluation:
        """Return how good the proposals are, each slide's cut at its threshold."""
        return Evaluation(
            tuple(
                (sha256, levels.at(thresholds.get(sha256, otherwise)))
                for sha256, levels in self.by_patch
            )
        )


def evaluate(predictor: Predictor, labelled: Labelled, check: Callable[[], None]) -> Seen:
    """Compare a predictor's probabilities with people's masks."""
    by_patch: list[tuple[str, Levels]] = []
    size = predictor.batch_size
    for start in range(0, len(labelled.images), size):
        check()
        probabilities = predictor(labelled.images[start : start + size]).probability
        for number, probability in enumerate(probabilities, start):
            levels = Levels.of(probability, labelled.masks[number])
            by_patch.append((labelled.groups[number], levels))
    return Seen(tuple(by_patch))
