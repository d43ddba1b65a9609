"""Pixels on their way to a browser: encoded, and named so that they are sent only once."""

import io

from PIL import Image

from backend.kit.conditional import digest
from backend.slides.catalogue.overview import fitting, read_over_gaps, read_overview
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.images import png
from backend.slides.reading.reader import RegionUnreadable, Rgb, SlideReader
from backend.slides.reading.tiles import TileBox

JPEG, PNG = "image/jpeg", "image/png"
JPEG_QUALITY = 85
THUMBNAIL_PX = 512


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
    if media_type == PNG:
        return png(pixels)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


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
