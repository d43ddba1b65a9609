"""Is one method better than another, or were the test groups kind to it?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 10_000


@dataclass(frozen=True)
class Difference:
    """Mean of ours minus theirs, its 95 % interval, and the two-sided p of no difference."""

    mean: float
    low: float
    high: float
    p: float


def paired(ours: Sequence[float], theirs: Sequence[float], *, seed: int = 0) -> Difference:
    """Bootstrap the difference over pairs (patients, slides, blocks) that both were judged on.

    Percentile interval of 10,000 draws; p is twice the share of draws on the other side of 0
    (Efron and Tibshirani 1993), at least 2 / draws. Raises ValueError without pairs.
    """
    differences = np.subtract(ours, theirs, dtype=np.float64)
    if differences.ndim != 1 or not len(differences):
        raise ValueError("there must be as many of ours as of theirs, and at least one")
    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(differences), size=(DRAWS, len(differences)))
    draws = differences[drawn].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    other_side = min((draws <= 0).mean(), (draws >= 0).mean())
    return Difference(
        float(differences.mean()),
        float(low),
        float(high),
        float(min(1.0, max(2 * other_side, 2 / DRAWS))),
    )
