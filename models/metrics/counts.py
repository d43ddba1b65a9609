"""How well a mask agrees with the truth: counts that add up, so pooled figures are their sum's.

Pixels a person marked "ignore" count nowhere (eugmt.md §6.3).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IGNORE = 127


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


def compare(proposal: npt.NDArray[np.bool_], mask: npt.NDArray[np.uint8]) -> Counts:
    """Count a proposal (H, W) against a mask (H, W) of 0, 127 and 255."""
    known = mask != IGNORE
    truth = mask > IGNORE
    return Counts(
        int(np.count_nonzero(proposal & truth)),
        int(np.count_nonzero(proposal & known & ~truth)),
        int(np.count_nonzero(~proposal & truth)),
    )
