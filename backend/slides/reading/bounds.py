"""The scanned part of a slide, as the scanner's file names it: `openslide.bounds-*`.

Scanners write a canvas as large as the glass and scan a part of it. QuPath shows that part only and
counts from its corner, and so does everything here: see OpenslideImageServer in QuPath.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from backend.kit.geometry import SizePx

NAMES = tuple(f"openslide.bounds-{name}" for name in ("x", "y", "width", "height"))
MOST_BEFORE = 256
"""Px that a corner may lie before the canvas' own, where whole pixels were rounded down to or a
tile hangs over; what begins further out is no place on this slide."""
LONGEST_NUMBER = 12


@dataclass(frozen=True)
class Bounds:
    """The part of the canvas that is the slide, in level-0 px of the canvas.

    ignored: the file names a part that can't be one, so that the whole canvas is taken.
    """

    x: int
    y: int
    width: int
    height: int
    ignored: bool = False

    @property
    def corner(self) -> tuple[int, int]:
        return self.x, self.y

    @property
    def size(self) -> SizePx:
        return self.width, self.height


def bounds_of(properties: Mapping[str, str], canvas: SizePx) -> Bounds:
    """Return the part that a file names, cut to its canvas (width, height); else the whole canvas.

    A corner that lies a little before the canvas stays where the file says, since others count
    from there: what lies before the canvas is bare glass.
    """
    whole = Bounds(0, 0, *canvas)
    values = [properties[name] for name in NAMES if name in properties]
    if not values:
        return whole
    numbers = [whole_number(text) for text in values]
    ignored = Bounds(*whole.corner, *whole.size, ignored=True)
    if len(numbers) < len(NAMES) or None in numbers:
        return ignored
    x, y, width, height = (number or 0 for number in numbers)
    width, height = min(x + width, canvas[0]) - x, min(y + height, canvas[1]) - y
    # of what is left, some must lie on the canvas
    if min(x, y) < -MOST_BEFORE or min(width, height, x + width, y + height) <= 0:
        return ignored
    return Bounds(x, y, width, height)


def whole_number(text: str) -> int | None:
    """Read a number as QuPath does, to whom 512.0 is none."""
    digits = text[1:] if text[:1] in {"+", "-"} else text
    plain = digits.isascii() and digits.isdecimal() and len(digits) <= LONGEST_NUMBER
    return int(text) if plain else None
