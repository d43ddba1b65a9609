"""Tiles of which a decoder makes pixels though they are damaged or missing: nobody reads them.

Found once, when a slide is taken in (worker/silent_damage.py), and kept with it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class DamagedTile(NamedTuple):
    """Where a tile lies on its level: px of that level, from the canvas' corner."""

    level: int
    x: int
    y: int
    width: int
    height: int

    def meets(self, level: int, x: float, y: float, width: int, height: int) -> bool:
        """Say whether a box of a level has a pixel of this tile."""
        return (
            level == self.level
            and x < self.x + self.width
            and self.x < x + width
            and y < self.y + self.height
            and self.y < y + height
        )


def tiles_at(
    numbers: Iterable[int], *, level: int, level_width: int, tile: tuple[int, int]
) -> list[DamagedTile]:
    """Return a level's tiles by their numbers, which count row by row. tile: width and height."""
    width, height = tile
    across = -(-level_width // width)
    return [
        DamagedTile(level, number % across * width, number // across * height, width, height)
        for number in numbers
    ]


def tiles_of(column: Iterable[Sequence[int]]) -> tuple[DamagedTile, ...]:
    """Return the tiles as they stand in a slide's row."""
    return tuple(DamagedTile(*each) for each in column)
