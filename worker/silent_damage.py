"""Damage of a slide's tiles that its decoder makes pixels of: looked for once, at ingest.

OpenSlide makes every warning of libjpeg and OpenJPEG an error of the place (JPEG in colours,
JPEG 2000), but stops at a tile's last row: coded data that is left over, a sign of flipped bits,
it never sees; a tile that is not there it shows as glass, or enlarged from a coarser level. Such
tiles are named, and not read. What it reads through libtiff it takes with libtiff's warnings, which
nobody hears: PackBits, grey or planar JPEG; and libtiff compares Deflate's checksum only where the
data ends as expected. Those, few files, are decoded to their end here, and refused.
"""

from functools import partial
from pathlib import Path

from backend.slides.reading import pixel_kinds, tiff
from backend.slides.reading.damage import DamagedTile, tiles_at
from backend.slides.reading.pixel_kinds import COMPRESSIONS
from backend.slides.reading.reader import OpenSlideReader, SlideUnreadable
from backend.slides.reading.tiff import Page, Tag
from models import decoding
from models.decoding import PictureDamaged
from worker import chunks
from worker.chunks import Stopping, never
from worker.dicom_damage import check_frames
from worker.layout import level_size, levels_of
from worker.plain_pictures import damage_in_words

CONTIGUOUS = 1
WHOLE = frozenset({"aperio", "generic-tiff"})
"""Vendors that leave no tile out where there is only glass."""
MANY = 2_000
"""More damaged tiles than this, and the file is not worth keeping."""


def check_tiles(
    path: Path, reader: OpenSlideReader, stopping: Stopping = never
) -> tuple[DamagedTile, ...]:
    """Return the tiles that are not to be read; raise SlideUnreadable for a TIFF that is not.

    Of a DICOM slide as `check_frames` does. stopping: called between chunks; may raise what ends
    the job.
    """
    vendor = reader.properties.get("openslide.vendor")
    if vendor == "dicom":
        return check_frames(path, reader, stopping)
    if vendor in pixel_kinds.TRUSTED:
        return ()
    damaged: list[DamagedTile] = []
    levels = {level_size(reader, number): number for number in reversed(range(levels_of(reader)))}
    for number, page in enumerate(tiff.pages(path)):
        if not page.is_tiled:
            continue
        check_page(path, page, number, stopping)
        level = levels.get((page.whole(Tag.WIDTH), page.whole(Tag.HEIGHT)))
        if level is None:
            continue
        bad = missing(page) if vendor in WHOLE else set()
        if page.whole(Tag.COMPRESSION, 1) == pixel_kinds.JPEG and not is_lenient(page):
            check = partial(chunks.check_jpeg, page=page)
            bad |= set(chunks.undecodable(chunks.stored(path, page), check, stopping))
        damaged += places_of(bad, page, level)
        if len(damaged) > MANY:
            raise unreadable(page, f"more than {MANY} tiles are damaged")
    return tuple(damaged)


def check_page(path: Path, page: Page, number: int, stopping: Stopping) -> None:
    """Hold a page that is read by a lenient decoder to its end. Raises SlideUnreadable."""
    try:
        if page.whole(Tag.COMPRESSION, 1) in chunks.DEFLATE:
            chunks.check(path, page, stopping)
        elif is_lenient(page):
            chunks.check(path, page, stopping)
            decoding.check_whole(path, page=number)
    except PictureDamaged as damage:
        raise unreadable(page, str(damage)) from damage


def unreadable(page: Page, reason: str) -> SlideUnreadable:
    name = COMPRESSIONS.get(page.whole(Tag.COMPRESSION, 1), "the decoder")
    return SlideUnreadable(damage_in_words("slide", name, reason))


def missing(page: Page) -> set[int]:
    """Return the numbers of the tiles that a page has a place for and no bytes."""
    _, counts = chunks.places(page)
    return {number for number, count in enumerate(counts) if not count}


def places_of(numbers: set[int], page: Page, level: int) -> list[DamagedTile]:
    size = page.whole(Tag.TILE_WIDTH), page.whole(Tag.TILE_HEIGHT)
    width, height = page.whole(Tag.WIDTH), page.whole(Tag.HEIGHT)
    # planes of one colour each follow one another
    of_a_plane = -(-width // size[0]) * -(-height // size[1])
    places = sorted({each % of_a_plane for each in numbers})
    return tiles_at(places, level=level, level_width=width, tile=size)


def is_lenient(page: Page) -> bool:
    """Say whether OpenSlide reads a page by a decoder whose warnings are lost."""
    compression = page.whole(Tag.COMPRESSION, 1)
    if compression == pixel_kinds.JPEG:
        coloured = page.whole(Tag.PHOTOMETRIC) in {pixel_kinds.RGB, pixel_kinds.YCBCR}
        whole = page.whole(Tag.PLANAR, CONTIGUOUS) == CONTIGUOUS
        return not (coloured and whole and page.whole(Tag.SAMPLES, 1) == len("RGB"))
    return compression == pixel_kinds.PACKBITS
