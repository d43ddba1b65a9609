"""Pixels on their way to a browser: encoded, and named so that they are sent only once."""

from contextlib import suppress

from backend.kit.conditional import digest
from backend.slides.catalogue import browser_tiles
from backend.slides.catalogue.overview import fitting, read_over_gaps, read_overview
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.images import png
from backend.slides.reading.reader import OpenSlideReader, RegionUnreadable, Rgb, SlideReader
from backend.slides.reading.stored_jpeg import NotPlain
from backend.slides.reading.tiles import TileBox

JPEG, PNG = "image/jpeg", "image/png"
THUMBNAIL_PX = 512
MANNER = 2
"""Counts the ways in which tiles were made: another way, other bytes, another ETag."""


def etag_of(slide: Slide, *place: object) -> str:
    """Return the ETag of a place of a slide, as the slide is read now.

    A slide may be read anew (upright, from its bounds, in its profile's colours): its addresses
    stay, so a browser asks each time whether its picture is still the one.
    """
    reading = (
        slide.derived_key,
        slide.width,
        slide.height,
        slide.counts_from_bounds,
        slide.colours_are_srgb,
        slide.damaged_tiles,
    )
    return digest(slide.sha256, reading, *place)


def encoded(pixels: Rgb, media_type: str) -> bytes:
    """Encode RGB (h, w, 3) as JPEG or PNG."""
    return png(pixels) if media_type == PNG else browser_tiles.jpeg(pixels)


def picture(reader: OpenSlideReader, box: TileBox, media_type: str) -> bytes:
    """Return a tile for a browser; as PNG in the very pixels that patches have."""
    if media_type == JPEG:
        with suppress(NotPlain, RegionUnreadable):
            return browser_tiles.tile(reader, box)
    return encoded(tile(reader, box), media_type)


def tile(reader: SlideReader, box: TileBox) -> Rgb:
    """Return a tile's pixels; a damaged place in it leaves glass, not a hole of a whole tile."""
    try:
        return reader.read(box.region, box.size)
    except RegionUnreadable:
        pixels, unreadable = read_over_gaps(reader, box.region, box.size)
        if unreadable.all():
            raise
        return pixels


def thumbnail(reader: SlideReader) -> Rgb:
    """Return the slide itself, small; never its label or macro image, which can carry a name."""
    return read_overview(reader, fitting(reader.dimensions, THUMBNAIL_PX)).image
