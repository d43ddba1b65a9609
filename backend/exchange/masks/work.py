"""How much one import may cost: what it asks for is counted while it is done, not guessed before.

A few bytes can ask for a great deal: a square over a whole slide, a thousand times.
"""

from dataclasses import dataclass

from backend.exchange.masks.geojson import GeoJsonInvalid

OF_REQUEST = 10_000_000
"""Cuts of outlines by rows (scanlines.py) while somebody waits: a second or two."""
OF_JOB = 1_000_000_000
"""Some minutes."""


class TooMuchWork(GeoJsonInvalid):
    code = "too_much_at_once"


@dataclass
class Work:
    """What is left of an import's share, in cuts."""

    left: int

    def spend(self, cuts: int) -> None:
        """Raise TooMuchWork if there is not so much left."""
        self.left -= cuts
        if self.left < 0:
            raise TooMuchWork(
                "The outlines lie over each other so often, or are so long, that they can't be "
                "drawn in reasonable time. Import them in parts, or merge what overlaps."
            )
