"""The threshold at which a probability makes the best mask: chosen where truth is known.

By the pixels of each hundredth, inside and outside the membrane: whatever is asked of a threshold
follows from these counts, and counts of several patches or slides add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from models.metrics.counts import IGNORE, Counts

LEVELS = 100
"""Thresholds tried: every hundredth but 0, at which all is membrane whatever is seen."""
HALF = 0.5
LEAST_GROUPS = 2
"""Of groups that show membrane: with one there is none left to see if its threshold carries."""


@dataclass(frozen=True)
class Levels:
    """Pixels by their probability's hundredth, (100,) each: of membrane, and of all the rest."""

    inside: npt.NDArray[np.int64]
    outside: npt.NDArray[np.int64]

    @classmethod
    def of(cls, probability: npt.NDArray[np.float32], masks: npt.NDArray[np.uint8]) -> Self:
        """Count pixels. probability: 0..1; masks: of its shape, 0, 127 (not counted) and 255."""
        level = np.minimum((probability * LEVELS).astype(np.int64), LEVELS - 1)
        inside = np.bincount(level[masks > IGNORE], minlength=LEVELS)
        return cls(inside, np.bincount(level[masks < IGNORE], minlength=LEVELS))

    @classmethod
    def none(cls) -> Self:
        return cls(np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64))

    def __add__(self, other: "Levels") -> "Levels":
        return Levels(self.inside + other.inside, self.outside + other.outside)

    @property
    def membrane(self) -> int:
        return int(self.inside.sum())

    def at(self, threshold: float) -> Counts:
        """Compare the masks with what is proposed from a threshold on, one of the hundredths."""
        level = round(threshold * LEVELS)
        hit = int(self.inside[level:].sum())
        return Counts(hit, int(self.outside[level:].sum()), self.membrane - hit)

    def best(self) -> tuple[float, float]:
        """Return the threshold of the highest Dice, and that Dice.

        Of thresholds equally good the one nearest to 0.5 is taken; without any membrane none can
        be told, and it is 0.5.
        """
        if not self.membrane:
            return HALF, self.at(HALF).dice
        # from above: what a threshold at the lower edge of each level proposes
        hit, wrong = (np.cumsum(each[::-1])[::-1] for each in (self.inside, self.outside))
        dice = (2 * hit / (hit + wrong + hit[0]))[1:]
        best = 1 + np.flatnonzero(dice >= dice.max() - 1e-12)
        chosen = int(best[np.abs(best - LEVELS / 2).argmin()])
        return chosen / LEVELS, float(dice[chosen - 1])


def best_threshold(
    probability: npt.NDArray[np.float32], masks: npt.NDArray[np.uint8]
) -> tuple[float, float]:
    """Return the threshold of the highest pooled Dice, and that Dice; see `Levels`."""
    return Levels.of(probability, masks).best()


@dataclass(frozen=True)
class Carried:
    """A threshold, and how it does on groups that it was not chosen on.

    threshold: chosen on all groups, 0.5 where that did no better. elsewhere: for each group the
    one that the others choose, by which the group itself may be judged; empty: all at 0.5.
    dice, dice_at_half: pooled over the groups, each cut at `elsewhere`'s threshold, and at 0.5;
    None where there were too few groups.
    """

    threshold: float
    groups: int
    elsewhere: Mapping[str, float]
    dice: float | None = None
    dice_at_half: float | None = None


def carried(groups: Mapping[str, Levels]) -> Carried:
    """Choose a threshold on groups (slides, patients), and see on each what the others choose.

    Left-one-out over groups, never patches: those of one slide are alike. A threshold that does
    not do better than 0.5 on groups that it was not chosen on is not taken. Groups without membrane
    add their false alarms and do not count as groups.
    """
    showing = sum(1 for each in groups.values() if each.membrane)
    if showing < LEAST_GROUPS:
        return Carried(HALF, showing, {})
    elsewhere = {
        name: sum((each for other, each in groups.items() if other != name), Levels.none()).best()[
            0
        ]
        for name in groups
    }
    dice, at_half = (
        sum((each.at(cut.get(name, HALF)) for name, each in groups.items()), Counts()).dice
        for cut in (elsewhere, {})
    )
    if dice <= at_half:
        return Carried(HALF, showing, {}, dice, at_half)
    threshold, _ = sum(groups.values(), Levels.none()).best()
    return Carried(threshold, showing, elsewhere, dice, at_half)
