"""What a person should look at first: doubtful pixels, and the order of patches.

No torch: before any training the cold start's two rules stand for the students.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from models.semisup.confident import flagged

Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]

LEAST_SHARE = 0.001
"""A class with a smaller share of the pixels is not judged (eugmt.md §1.4, guards)."""
ENTROPY_WEIGHT = 0.5
"""Of the score; the rest is flagged area, both as ranks so that neither unit matters."""
DIVERSITY_WEIGHT = 0.3


def uncertain_pixels(probability: Float, students: Bool) -> Bool:
    """Return the pixels to review first: bool (B, H, W).

    A pixel is uncertain if confident learning doubts the label that any student gives it against
    the teacher's probability. All pixels passed are one scope, so thresholds are those of the
    tissue shown and not of one patch. probability: (B, H, W); students: (S, B, H, W).
    """
    least = round(LEAST_SHARE * probability.size)
    doubts = [flagged(labels, probability, least_count=least) for labels in students]
    uncertain: Bool = np.logical_or.reduce(doubts)
    return uncertain


@dataclass(frozen=True)
class PatchScores:
    """One number a patch, float32 (B,) each.

    flagged_fraction: share of uncertain pixels. entropy: mean binary entropy of the teacher, nats.
    membrane_fraction: share of proposed membrane. score: 0 to 1, how much is to be learned here.
    """

    flagged_fraction: Float
    entropy: Float
    membrane_fraction: Float
    score: Float


def patch_scores(probability: Float, uncertain: Bool) -> PatchScores:
    """Score each patch by its own pixels: independent of what it is predicted with."""
    clipped = np.clip(probability, 1e-6, 1 - 1e-6)
    nats = -(clipped * np.log(clipped) + (1 - clipped) * np.log1p(-clipped))
    fraction = uncertain.mean((1, 2), dtype=np.float64).astype(np.float32)
    entropy = nats.mean((1, 2), dtype=np.float64).astype(np.float32)
    membrane = (probability >= 0.5).mean((1, 2), dtype=np.float64).astype(np.float32)
    # a membrane covers a tenth of a patch, so a tenth flagged is as much as there can be
    area = np.minimum(fraction / 0.1, 1)
    score = (1 - ENTROPY_WEIGHT) * area + ENTROPY_WEIGHT * entropy / np.float32(np.log(2))
    return PatchScores(fraction, entropy, membrane, score.astype(np.float32))


def patch_features(images: npt.NDArray[np.uint8], probability: Float) -> Float:
    """Describe patches for diversity: colour mean and spread, membrane amount: (B, 10) float32."""
    density = -np.log10((images.astype(np.float32) + 1) / 256)
    colour = [density.mean((1, 2)), density.std((1, 2)), np.quantile(density, 0.9, axis=(1, 2))]
    proposed = (probability >= 0.5).mean((1, 2), dtype=np.float64)[:, None]
    return np.concatenate([*colour, proposed], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Ranked:
    """A patch's place in the queue: `index` into what was passed, and why it stands there."""

    index: int
    score: float
    reason: dict[str, Any]


class Scored(Protocol):
    """A patch with its scores, however it is kept."""

    @property
    def flagged_fraction(self) -> float: ...
    @property
    def entropy(self) -> float: ...
    @property
    def score(self) -> float: ...


def rank(
    patches: Sequence[Scored],
    features: Float,
    groups: Sequence[str],
    *,
    cap: int,
    seed: int = 0,
) -> list[Ranked]:
    """Order patches: the most to learn first, none like those already above it.

    Greedy: the next patch is the one with the best sum of score and distance to the nearest one
    chosen (core-set), so that the first ten are ten different questions. In each block of
    2 * `cap` places at most `cap` are of one group (slide). features: (B, D); ties go by a
    seeded draw. Only the first thousand are spread; the rest follow by score.
    """
    count = len(patches)
    if count == 0:
        return []
    score = np.array([patch.score for patch in patches])
    place = np.argsort(np.random.default_rng(seed).permutation(count))
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    scaled /= np.sqrt(scaled.shape[1])
    nearest = np.full(count, np.inf)
    left = np.ones(count, np.bool_)
    names = np.asarray(groups)
    taken: dict[str, int] = {}
    chosen: list[Ranked] = []
    for position in range(min(count, 1000)):
        if position % (2 * cap) == 0:
            taken = {}
        novelty = np.minimum(nearest, 1) if chosen else np.ones(count)
        value = (1 - DIVERSITY_WEIGHT) * score + DIVERSITY_WEIGHT * novelty
        full = [name for name, number in taken.items() if number >= cap]
        open_ = left & ~np.isin(names, full)
        pool = np.flatnonzero(open_ if open_.any() else left)
        best = int(pool[np.lexsort((place[pool], -value[pool]))[0]])
        why = reason(patches[best], float(novelty[best]))
        chosen.append(Ranked(best, float(value[best]), why))
        left[best] = False
        taken[groups[best]] = taken.get(groups[best], 0) + 1
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[best], axis=1))
    rest = np.flatnonzero(left)
    by_score = rest[np.lexsort((place[rest], -score[rest]))].tolist()
    chosen += [Ranked(i, float(score[i]), reason(patches[i], 0.0)) for i in by_score]
    return chosen


def reason(patch: Scored, novelty: float) -> dict[str, Any]:
    """Say why a patch is shown, in figures and in a sentence."""
    unlike = " and is unlike the patches before it" if novelty >= 0.5 else ""
    return {
        "flagged_fraction": round(patch.flagged_fraction, 6),
        "entropy": round(patch.entropy, 6),
        "diversity": round(novelty, 6),
        "text": f"{patch.flagged_fraction:.1%} of this patch is doubtful "
        f"(mean entropy {patch.entropy:.2f} nats){unlike}.",
    }
