"""Tiles and strips of a TIFF held to their end one by one, where decoders don't do it.

JPEG may have more coded data than pixels (bits were flipped), and Deflate more than fits: both are
read as far as the tile goes, without a word. Other compressions have no end to be held to.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from backend.slides.reading import pixel_kinds
from backend.slides.reading.tiff import Page, Tag
from models import decoding
from models.decoding import PictureDamaged

DEFLATE = frozenset({8, 32946})
PIECE = 1 << 20
"""Bytes that Deflate may make of a chunk at once: a chunk that unpacks to gigabytes fills none."""

Stopping = Callable[[], None]
"""Called between chunks; may raise what ends the work."""


def never() -> None:
    """Let the work go on."""


def check(path: Path, page: Page, stopping: Stopping = never) -> None:
    """Hold a page's chunks to their end. Raises PictureDamaged."""
    compression = page.whole(Tag.COMPRESSION, 1)
    if compression == pixel_kinds.JPEG:
        for data in chunks_of(path, page):
            stopping()
            check_jpeg(data, page)
    elif compression in DEFLATE:
        for data in chunks_of(path, page):
            stopping()
            check_deflate(data)


def chunks_of(path: Path, page: Page) -> Iterator[bytes]:
    """Yield a page's tiles or strips as they are stored; those that are not there are left out."""
    for data in stored(path, page):
        if data is not None:
            yield data


def stored(path: Path, page: Page) -> Iterator[bytes | None]:
    """Yield a page's tiles or strips as they are stored; None for one that is not there."""
    offsets, counts = places(page)
    with path.open("rb") as file:
        for offset, count in zip(offsets, counts, strict=False):
            file.seek(offset)
            yield file.read(count) if count else None


def undecodable(
    tiles: Iterable[bytes | None], check: Callable[[bytes], None], stopping: Stopping = never
) -> Iterator[int]:
    """Yield the numbers of the tiles of which `check` raises PictureDamaged."""
    for number, data in enumerate(tiles):
        stopping()
        try:
            if data is not None:
                check(data)
        except PictureDamaged:
            yield number


def places(page: Page) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return where a page's chunks begin and how many bytes each has."""
    if page.is_tiled:
        return page.numbers(Tag.TILE_OFFSETS), page.numbers(Tag.TILE_COUNTS)
    return page.numbers(Tag.STRIP_OFFSETS), page.numbers(Tag.STRIP_COUNTS)


def check_jpeg(data: bytes, page: Page) -> None:
    """Hold a JPEG chunk to its end and to its page's size. Raises PictureDamaged."""
    tile = page.whole(Tag.TILE_WIDTH) * page.whole(Tag.TILE_HEIGHT)
    decoding.check_jpeg(with_tables(data, page), most_pixels=tile if page.is_tiled else page.pixels)


def with_tables(data: bytes, page: Page) -> bytes:
    """Return a chunk as a JPEG of its own: with the tables that a page keeps for all."""
    tables = page.tags.get(Tag.JPEG_TABLES, b"")
    if not isinstance(tables, bytes) or len(tables) < len(b"\xff\xd8\xff\xd9"):
        return data
    return tables[:-2] + data[2:]


def check_deflate(data: bytes) -> None:
    """Unpack a chunk to its checksum. Raises PictureDamaged."""
    stream = zlib.decompressobj()
    try:
        while data and not stream.eof:
            stream.decompress(data, PIECE)
            data = stream.unconsumed_tail
    except zlib.error as error:
        raise PictureDamaged(str(error)) from error
    if not stream.eof:
        raise PictureDamaged("the data ends too early")
