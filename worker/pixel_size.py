"""How large a pixel is, by what the file says: one rule for the service and for commands on files.

A number counts only with its unit, for square pixels, in a size that a microscope has, and where
nothing in the file says otherwise. Else nobody knows, and a person is asked.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.slides.catalogue.schemas import COARSEST_UM, plausible
from models.pictures.inside import Inside, Resolution
from worker import ome
from worker.layout import PLAIN_TIFF

MOST_SKEW = 1.05
"""Pixels may be this much wider than high and still have one size; likewise what is said twice."""
RATIO = 1
"""A bare number that is the ratio of square pixels' sides, and means no resolution."""


@dataclass(frozen=True)
class PixelSize:
    """µm per pixel; None where it is not known, and `doubt` says why, if the file says any."""

    mpp: float | None
    doubt: str = ""


@dataclass(frozen=True)
class Stated:
    """What one place of a file says: the µm that a pixel is wide and high."""

    source: str
    across: float
    down: float

    @property
    def mean(self) -> float:
        return (self.across + self.down) / 2


def near(one: float, other: float) -> bool:
    return max(one, other) <= MOST_SKEW * min(one, other)


def pixel_size(
    properties: Mapping[str, str] | None, shown: Inside | None, description: str = ""
) -> PixelSize:
    """Return what a file says of its pixels.

    OpenSlide's own reading of a plain TIFF's resolution is not taken: it knows neither OME's units
    nor a contradiction.

    properties: OpenSlide's, if it opens the file; shown: the picture as its container describes
    it, if it is a JPEG, PNG or TIFF; description: of the TIFF's first page.
    """
    if properties is not None and properties.get("openslide.vendor") != PLAIN_TIFF:
        return by_scanner(properties)
    return by_container(shown, description) if shown else PixelSize(None)


def by_scanner(properties: Mapping[str, str]) -> PixelSize:
    """Return what OpenSlide reads in a vendor's own words."""
    across = positive(properties.get("openslide.mpp-x"))
    down = positive(properties.get("openslide.mpp-y"))
    if across is None and down is None:
        return PixelSize(None)
    return agreed_size([Stated("scanner", across or down or 0.0, down or across or 0.0)])


def by_container(shown: Inside, description: str) -> PixelSize:
    """Return what the resolution tags and an OME description say, if they agree."""
    microscope = ome.pixel_sizes(description, shown.width, shown.height)
    if microscope is None:
        return PixelSize(
            None,
            "The file's OME description names a pixel size whose unit is no length, or is not "
            "understood.",
        )
    bare = [each for each in shown.resolutions if each.unit_um is None]
    if any(not near(each.across, each.down) for each in bare):
        return PixelSize(None, "The file says that its pixels are not square.")
    by_description = [Stated("OME", across, down) for across, down in microscope]
    resolutions = [stated(each) for each in shown.resolutions if each.unit_um]
    if by_description:
        # a description of the microscope's goes before the default of a printer
        resolutions = [each for each in resolutions if plausible(each.mean)]
    agreed = agreed_size([*by_description, *resolutions])
    numbers = [each.across for each in bare if each.across > RATIO]
    if agreed.mpp is None and not agreed.doubt and numbers:
        return PixelSize(
            None,
            f"The file gives the number {numbers[0]:g} for its resolution, but no unit: it does "
            "not say how large a pixel is.",
        )
    return agreed


def stated(resolution: Resolution) -> Stated:
    unit = resolution.unit_um or 0.0
    return Stated(resolution.source, unit / resolution.across, unit / resolution.down)


def agreed_size(sizes: Sequence[Stated]) -> PixelSize:
    """Return the one size that all say, if a microscope has it."""
    for each in sizes:
        if not near(each.across, each.down):
            return PixelSize(
                None,
                f"The file says that a pixel is {each.across:g} µm wide and {each.down:g} µm high: "
                "no square pixel of a microscope.",
            )
    for one, other in itertools.combinations(sizes, 2):
        if not near(one.mean, other.mean):
            return PixelSize(
                None,
                f"The file says {one.mean:g} µm per pixel in one place ({one.source}) and "
                f"{other.mean:g} µm in another ({other.source}).",
            )
    if not sizes:
        return PixelSize(None)
    size = sizes[0].mean
    if not plausible(size):
        kind = "a resolution for printing" if size > COARSEST_UM else "too fine for light"
        return PixelSize(
            None,
            f"The file says that a pixel is {size:g} µm wide and high: {kind}, no square pixel of "
            "a microscope.",
        )
    return PixelSize(size)


def positive(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
