"""The pixel size in the OME-XML of a TIFF's description, read as hostile."""

import math
from collections.abc import Iterator
from xml.etree import ElementTree as ET

MOST_CHARACTERS = 4 * 2**20
DEFAULT_UNIT = "µm"
"""By OME's schema, of a size without a unit."""
METRE_UM = 1e6
PREFIXES = {
    "Y": 24,
    "Z": 21,
    "E": 18,
    "P": 15,
    "T": 12,
    "G": 9,
    "M": 6,
    "k": 3,
    "h": 2,
    "da": 1,
    "": 0,
    "d": -1,
    "c": -2,
    "m": -3,
    "µ": -6,
    "n": -9,
    "p": -12,
    "f": -15,
    "a": -18,
}
UNITS_UM = {
    **{f"{prefix}m": METRE_UM * 10.0**power for prefix, power in PREFIXES.items()},
    "um": 1.0,
    "Å": 1e-4,
    "thou": 25.4,
    "li": 2116.6667,
    "in": 25_400.0,
    "ft": 304_800.0,
    "yd": 914_400.0,
    "mi": 1_609_344_000.0,
    "pt": 25_400 / 72,
    # what programs write that never read the schema
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "inch": 25_400.0,
    "angstrom": 1e-4,
}
MICRO, ANGSTROM = "\N{GREEK SMALL LETTER MU}", "\N{ANGSTROM SIGN}"


def pixel_sizes(description: str, width: int, height: int) -> list[tuple[float, float]] | None:
    """Return the µm across and down that OME-XML says of a picture of this size, as stored.

    Empty where it says nothing; None where it says what can't be understood. Several images of one
    file may have several sizes: the one of this width and height counts.
    """
    sizes = []
    for pixels in described(description):
        sides = pixels.get("SizeX"), pixels.get("SizeY")
        if None not in sides and sides != (str(width), str(height)):
            continue
        across, down = length(pixels, "PhysicalSizeX"), length(pixels, "PhysicalSizeY")
        if across is None and down is None:
            continue
        if 0.0 in (across, down):
            return None
        sizes.append((across or down or 0.0, down or across or 0.0))
    return sizes


def described(description: str) -> Iterator[ET.Element]:
    """Yield the Pixels elements of a description that is XML without a document type."""
    text = description.strip("\0 \t\r\n\ufeff")
    # entities, which could grow without bounds, are declared in a document type only
    if not text.startswith("<") or "<!DOCTYPE" in text or len(text) > MOST_CHARACTERS:
        return
    try:
        root = ET.fromstring(text)  # noqa: S314 - bounded, and without entities
    except (ET.ParseError, ValueError):
        return
    for element in root.iter():
        if isinstance(element.tag, str) and element.tag.rpartition("}")[2] == "Pixels":
            yield element


def length(pixels: ET.Element, name: str) -> float | None:
    """Return a size in µm; None where it is not named, 0 where it is not understood."""
    stated = pixels.get(name)
    if stated is None:
        return None
    unit = pixels.get(f"{name}Unit", DEFAULT_UNIT).strip()
    unit = unit.replace(MICRO, "µ").replace(ANGSTROM, "Å")
    try:
        size = float(stated) * UNITS_UM.get(unit, 0.0)
    except ValueError:
        return 0.0
    return size if math.isfinite(size) and size > 0 else 0.0
