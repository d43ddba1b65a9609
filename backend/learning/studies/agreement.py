"""How far two masks agree: Dice (1945) and Cohen's kappa (1960) of what both have judged."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from backend.learning.annotations.masks import IGNORE, Mask

MEMBRANE = 255


@dataclass(frozen=True)
class Counts:
    """Pixels that both readers call membrane, that the first or the second alone does, or none."""

    both: int = 0
    first: int = 0
    second: int = 0
    neither: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.both + other.both,
            self.first + other.first,
            self.second + other.second,
            self.neither + other.neither,
        )

    @property
    def pixels(self) -> int:
        return self.both + self.first + self.second + self.neither

    @property
    def dice(self) -> float | None:
        """Return 2|A∩B| / (|A| + |B|); None where neither has drawn any membrane."""
        drawn = 2 * self.both + self.first + self.second
        return 2 * self.both / drawn if drawn else None

    @property
    def kappa(self) -> float | None:
        """Return (p_o - p_e) / (1 - p_e); None where chance alone would make them agree."""
        if not self.pixels:
            return None
        observed = (self.both + self.neither) / self.pixels
        one, other = (self.both + self.first) / self.pixels, (self.both + self.second) / self.pixels
        chance = one * other + (1 - one) * (1 - other)
        return (observed - chance) / (1 - chance) if chance < 1 else None


def compared(first: Mask, second: Mask) -> Counts:
    """Count the pixels of two masks, uint8 of 0, 127 and 255; ignored by either counts in none."""
    judged = (first != IGNORE) & (second != IGNORE)
    one, other = (first == MEMBRANE) & judged, (second == MEMBRANE) & judged
    return Counts(
        int((one & other).sum()),
        int((one & ~other).sum()),
        int((~one & other).sum()),
        int((judged & ~one & ~other).sum()),
    )


def disagreement(masks: Iterable[Mask]) -> Mask:
    """Return 255 where any two readers differ, 127 where nobody judged, else 0."""
    stack = np.stack(list(masks))
    judged = stack != IGNORE
    some = (stack == MEMBRANE).any(axis=0) & ((stack == 0) & judged).any(axis=0)
    return np.where(some, np.uint8(255), np.where(judged.any(axis=0), np.uint8(0), np.uint8(127)))
