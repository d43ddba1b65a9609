"""In which order a person should look at patches. Where in a patch: `models.areas`.

No torch: before any training the cold start proposes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.float64]

GREYS = 256
ENTROPY_WEIGHT = 0.5
"""Of the score; the rest is flagged area, both as ranks so that neither unit matters."""
DIVERSITY_WEIGHT = 0.3
SPREAD, POOL = 500, 5_000


def quantised(probability: Float) -> Pixels:
    """Return probabilities (B, H, W) as 0-255, rounded half up: 0.5 stays on membrane's side."""
    stored = np.empty(probability.shape, np.uint8)
    for patch, whole in zip(probability, stored, strict=True):
        scaled = patch * np.float32(GREYS - 1)
        scaled += np.float32(0.5)
        # nothing is negative, so cutting off is rounding down
        np.copyto(whole, scaled, casting="unsafe")
    return stored


def entropies() -> Counts:
    """Return the binary entropy of each stored probability, in nats."""
    p = np.clip(np.arange(GREYS) / (GREYS - 1), 1e-9, 1 - 1e-9)
    nats: Counts = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    return nats


ENTROPY_NATS = entropies()
DENSITY: Counts = -np.log10((np.arange(GREYS) + 1) / GREYS)
"""Optical density of each grey level; darker is denser."""


def histograms(pictures: Iterable[Pixels]) -> Counts:
    """Count the grey levels of each channel of each picture, (H, W) or (H, W, C): (B, C, 256).

    What follows from the counts is a table's work; the pixels are passed once, in whole numbers.
    """
    counts = [
        [
            cv2.calcHist([picture], [channel], None, [GREYS], [0, GREYS]).ravel()
            for channel in range(picture.shape[2] if picture.ndim > 2 else 1)
        ]
        for picture in pictures
    ]
    return np.array(counts, np.float64)


@dataclass(frozen=True)
class PatchScores:
    """One number a patch, float32 (B,) each.

    flagged_fraction: share of pixels in areas worth a look. entropy: mean binary entropy of the
    teacher, nats. membrane_fraction: share of proposed membrane. score: 0 to 1, how much is to be
    learned here.
    """

    flagged_fraction: Float
    entropy: Float
    membrane_fraction: Float
    score: Float


def patch_scores(stored: Pixels, uncertain: Bool) -> PatchScores:
    """Score each patch by its own pixels: independent of what it is predicted with.

    stored: quantised probability, uint8 (B, H, W).
    """
    shares = histograms(stored)[:, 0] / stored[0].size
    fraction = uncertain.mean((1, 2), dtype=np.float64).astype(np.float32)
    # no matrix product: its order of summing, and the last bit, would hang on the other patches
    entropy = (shares * ENTROPY_NATS).sum(axis=1).astype(np.float32)
    membrane = shares[:, GREYS // 2 :].sum(axis=1).astype(np.float32)
    # a membrane covers a tenth of a patch, so a tenth flagged is as much as there can be
    area = np.minimum(fraction / 0.1, 1)
    score = (1 - ENTROPY_WEIGHT) * area + ENTROPY_WEIGHT * entropy / np.float32(np.log(2))
    return PatchScores(fraction, entropy, membrane, score.astype(np.float32))


def patch_features(images: Sequence[Pixels], membrane_fraction: Float) -> Float:
    """Describe patches for diversity: (B, 10) float32.

    Mean, spread and 0.9 quantile of each colour's optical density, and the membrane's share.
    images: B times uint8 (H, W, 3).
    """
    counts = histograms(images)
    shares = counts / counts.sum(axis=2, keepdims=True)
    mean = (shares * DENSITY).sum(axis=2)
    variance = (shares * DENSITY**2).sum(axis=2) - mean**2
    spread = np.sqrt(variance.clip(min=0))
    columns = [mean, spread, density_quantile(counts, 0.9), membrane_fraction[:, None]]
    return np.concatenate(columns, axis=1).astype(np.float32)


def density_quantile(counts: Counts, share: float) -> Counts:
    """Return the optical density that `share` of the pixels don't exceed, as np.quantile does.

    counts: (B, C, 256), of grey levels. Between two pixels' values it is interpolated.
    """
    # from the lightest level on, density grows
    reached = counts[..., ::-1].cumsum(axis=-1)
    place = (reached[..., -1] - 1) * share
    below = np.floor(place)
    values = [
        DENSITY[GREYS - 1 - (reached <= at[..., None]).sum(axis=-1)]
        for at in (below, np.ceil(place))
    ]
    quantile: Counts = values[0] + (place - below) * (values[1] - values[0])
    return quantile


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
    """Say why a patch is shown, in figures; the service puts them into a sentence."""
    return {
        "flagged_fraction": round(patch.flagged_fraction, 6),
        "entropy": round(patch.entropy, 6),
        "diversity": round(novelty, 6),
    }
