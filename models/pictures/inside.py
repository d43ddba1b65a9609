"""The pictures that a JPEG, PNG or TIFF holds, as its own words describe them; no pixel is read.

One place for the service and the commands on files: both are to see the same picture, upright.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UPRIGHT = 1
TURNED_OR_NOT = range(1, 9)
INCH_UM, CENTIMETRE_UM = 25_400.0, 10_000.0
TIFF_UNITS = {2: INCH_UM, 3: CENTIMETRE_UM}
"""ResolutionUnit of TIFF and EXIF; 1 is none, and a number alone says nothing."""


@dataclass(frozen=True)
class Resolution:
    """Pixels per unit along the stored rows and columns; `unit_um` is None for a bare number."""

    source: str
    across: float
    down: float
    unit_um: float | None


@dataclass(frozen=True)
class Inside:
    """One picture of a file, as it is stored: rows and columns not yet turned upright.

    `page`, `sub`: its directory in a TIFF, and there its number among the page's sub-directories.
    `reduced`: the file says that it is a smaller copy. `spare`: for each channel beyond the
    colours its TIFF meaning: 0 none said, 1 and 2 transparency.
    """

    width: int
    height: int
    page: int = 0
    sub: int | None = None
    orientation: int = UPRIGHT
    reduced: bool = False
    spare: tuple[int, ...] = ()
    resolutions: tuple[Resolution, ...] = ()
    description: str = ""

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def turned(self) -> bool:
        return self.orientation != UPRIGHT


def orientation_in(*stated: Any) -> int:
    """Return the first of these that is an orientation, 1 to 8; upright if none is."""
    for each in stated:
        if isinstance(each, int) and each in TURNED_OR_NOT:
            return each
    return UPRIGHT


def resolution_in(tags: Mapping[int, Any], source: str) -> list[Resolution]:
    """Return what XResolution, YResolution and ResolutionUnit of TIFF or EXIF say, if anything.

    A missing unit is no inch here, whatever the standards' default: nobody has said it.
    """
    across, down = positive(tags.get(282)), positive(tags.get(283))
    if across is None and down is None:
        return []
    across, down = across or down or 0.0, down or across or 0.0
    return [Resolution(source, across, down, TIFF_UNITS.get(first(tags.get(296))))]


def first(value: Any) -> Any:
    """Return the first of several values, as TIFF has them."""
    return next(iter(value), None) if isinstance(value, tuple) else value


def positive(value: Any) -> float | None:
    try:
        number = float(first(value))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if 0 < number < float("inf") else None
