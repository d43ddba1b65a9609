"""The threshold at which a probability makes the best mask: chosen where truth is known."""

import numpy as np
import numpy.typing as npt

from models.metrics.counts import IGNORE

LEVELS = 100
"""Thresholds tried: every hundredth."""


def best_threshold(
    probability: npt.NDArray[np.float32], masks: npt.NDArray[np.uint8]
) -> tuple[float, float]:
    """Return the threshold of the highest pooled Dice, and that Dice.

    probability: 0..1, of any shape; masks: of the same shape, 0, 127 (not counted) and 255. A mask
    is where the probability is at least the threshold. Of thresholds equally good the one nearest
    to 0.5 is taken; without any membrane none can be told, and it is 0.5.
    """
    level = np.minimum((probability * LEVELS).astype(np.int64), LEVELS - 1)
    inside = np.bincount(level[masks > IGNORE], minlength=LEVELS)
    outside = np.bincount(level[masks < IGNORE], minlength=LEVELS)
    # from above: what a threshold at the lower edge of each level proposes
    hit, wrong = (np.cumsum(each[::-1])[::-1] for each in (inside, outside))
    if not hit[0]:
        return 0.5, float(not wrong[LEVELS // 2])
    dice = 2 * hit / (hit + wrong + hit[0])
    best = np.flatnonzero(dice >= dice.max() - 1e-12)
    chosen = int(best[np.abs(best - LEVELS / 2).argmin()])
    return chosen / LEVELS, float(dice[chosen])
