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
SPREAD, POOL = 500, 5_000


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
    seeded draw. Only the first `SPREAD` are spread, out of the `POOL` best; the rest follow by
    score: nobody corrects that many between two trainings, and a slide has 100,000 patches.
    """
    count = len(patches)
    if count == 0:
        return []
    score = np.array([patch.score for patch in patches])
    drawn = np.random.default_rng(seed).permutation(count)
    by_score = np.lexsort((drawn, -score))
    first = spread_out(by_score[:POOL], score, standardised(features), groups, cap)
    rest = by_score[~np.isin(by_score, [index for index, _ in first])]
    return [
        *(Ranked(i, float(score[i]), reason(patches[i], novelty)) for i, novelty in first),
        *(Ranked(i, float(score[i]), reason(patches[i], 0.0)) for i in rest.tolist()),
    ]


def standardised(features: Float) -> Float:
    """Features in units of their spread, so that a distance of 1 is an ordinary one."""
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    unit: Float = scaled / np.sqrt(scaled.shape[1])
    return unit


def spread_out(
    pool: npt.NDArray[np.intp],
    score: npt.NDArray[np.floating],
    features: Float,
    groups: Sequence[str],
    cap: int,
) -> list[tuple[int, float]]:
    """Choose from `pool`, best first: (index, novelty from 0 to 1) of up to SPREAD patches."""
    names = np.asarray(groups)[pool]
    left = np.ones(len(pool), np.bool_)
    novelty = np.ones(len(pool))
    taken: dict[str, int] = {}
    chosen: list[tuple[int, float]] = []
    for position in range(min(len(pool), SPREAD)):
        if position % (2 * cap) == 0:
            taken = {}
        full = [name for name, number in taken.items() if number >= cap]
        allowed = left & ~np.isin(names, full)
        value = (1 - DIVERSITY_WEIGHT) * score[pool] + DIVERSITY_WEIGHT * novelty
        # the first of equals: the pool is in the order of score and of the seeded draw
        best = int(np.where(allowed if allowed.any() else left, value, -np.inf).argmax())
        chosen.append((int(pool[best]), float(novelty[best])))
        left[best] = False
        taken[str(names[best])] = taken.get(str(names[best]), 0) + 1
        apart = np.linalg.norm(features[pool] - features[pool[best]], axis=1)
        novelty = np.minimum(novelty, apart)
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
