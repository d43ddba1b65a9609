"""Pixels on their way to a browser: encoded, and named so that they are sent only once."""

import io

from fastapi import Request, Response
from PIL import Image

from backend.kit.conditional import REVALIDATE, state_etag, tags_in
from backend.slides.catalogue.overview import fitting, read_over_gaps, read_overview
from backend.slides.catalogue.tables import Slide
from backend.slides.reading.reader import RegionUnreadable, Rgb, SlideReader
from backend.slides.reading.tiles import TileBox

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
    return state_etag(slide.sha256, reading, *place)


def known(request: Request, etag: str) -> bool:
    """Say whether the browser has this picture already."""
    return not tags_in(request.headers.get("If-None-Match", "")).isdisjoint({etag, "*"})


def not_modified(etag: str) -> Response:
    return Response(status_code=304, headers={"ETag": etag, "Cache-Control": REVALIDATE})


def picture(pixels: Rgb, tile_format: str, etag: str) -> Response:
    """Encode RGB (h, w, 3) as JPEG or PNG with its ETag."""
    buffer = io.BytesIO()
    if tile_format == "png":
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    else:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return Response(
        buffer.getvalue(),
        media_type="image/png" if tile_format == "png" else "image/jpeg",
        headers={"ETag": etag, "Cache-Control": REVALIDATE},
    )


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
