"""Damage of a slide's tiles that OpenSlide would not notice: looked for once, at ingest.

OpenSlide makes every warning of libjpeg and OpenJPEG an error of the place (JPEG in colours,
JPEG 2000). What it reads through libtiff it takes with libtiff's warnings, which nobody hears:
PackBits, grey or planar JPEG; and libtiff compares Deflate's checksum only where the data ends
as expected. Those, few files, are decoded to their end here; the rest cost nothing.
"""

from pathlib import Path

from backend.slides.reading import pixel_kinds, tiff
from backend.slides.reading.pixel_kinds import COMPRESSIONS
from backend.slides.reading.reader import SlideUnreadable
from backend.slides.reading.tiff import Page, Tag
from models import decoding
from models.decoding import PictureDamaged
from worker import chunks
from worker.chunks import Stopping, never
from worker.plain_pictures import plain

PACKBITS = 32773
CONTIGUOUS = 1


def check_tiles(path: Path, vendor: str | None, stopping: Stopping = never) -> None:
    """Raise SlideUnreadable for a TIFF with damage that would be read as pixels.

    stopping: called between chunks; may raise what ends the job.
    """
    if vendor in pixel_kinds.TRUSTED:
        return
    for number, page in enumerate(tiff.pages(path)):
        if not page.is_tiled:
            continue
        try:
            if page.whole(Tag.COMPRESSION, 1) in chunks.DEFLATE:
                chunks.check(path, page, stopping)
            elif is_lenient(page):
                chunks.check(path, page, stopping)
                decoding.check_whole(path, page=number)
        except PictureDamaged as damage:
            name = COMPRESSIONS.get(page.whole(Tag.COMPRESSION, 1), "the decoder")
            raise SlideUnreadable(
                f"The slide's pixels are damaged and can't be decoded: {name} says "
                f"“{plain(str(damage))}”. Copy the file again, or export it anew."
            ) from damage


def is_lenient(page: Page) -> bool:
    """Say whether OpenSlide reads a page by a decoder whose warnings are lost."""
    compression = page.whole(Tag.COMPRESSION, 1)
    if compression == pixel_kinds.JPEG:
        coloured = page.whole(Tag.PHOTOMETRIC) in {pixel_kinds.RGB, pixel_kinds.YCBCR}
        whole = page.whole(Tag.PLANAR, CONTIGUOUS) == CONTIGUOUS
        return not (coloured and whole and page.whole(Tag.SAMPLES, 1) == len("RGB"))
    return compression == PACKBITS
