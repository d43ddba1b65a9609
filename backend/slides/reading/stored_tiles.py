"""The JPEG tiles that a slide's file stores, as they are or decoded.

For pictures alone: what is measured is read by OpenSlide. Only pages that OpenSlide shows as levels
of the slide are looked at: never a label or a macro image.
"""

import os
import weakref
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from simplejpeg import decode_jpeg

from backend.kit.geometry import SizePx
from backend.slides.reading import tiff
from backend.slides.reading.stored_jpeg import NotPlain, plain_jpeg
from backend.slides.reading.tiff import PLACES, Page, Tag

JPEG, YCBCR, RGB_COLOURS, CHUNKY = 7, 6, 2, 1
VENDORS = frozenset({"aperio", "generic-tiff"})
"""Of OpenSlide, those whose levels are single pages of tiles without a gap between them."""
MOST_TILES = 1_000_000
LONGEST_TABLES = 1 << 16
"""Of a level: their places are kept in memory, 16 bytes each."""
LARGEST_BYTES = 1 << 20
"""Of a stored tile that is handed on."""
MOST_AT_ONCE = 100
"""Stored tiles decoded for one picture: eight by eight, and those that overlap its border."""
LARGEST_SIDE = 1024
"""Px of a stored tile that is decoded here."""
Rgb = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class StoredLevel:
    """A level of a slide as its file stores it. tile: width and height of a stored tile, px."""

    size: SizePx
    tile: SizePx
    offsets: Sequence[int]
    counts: Sequence[int]
    tables: bytes
    is_ycbcr: bool

    @property
    def across(self) -> int:
        return -(-self.size[0] // self.tile[0])


class StoredTiles:
    """The stored tiles of a file's levels. Reading is safe from several threads."""

    def __init__(self, path: Path, vendor: str, level_dimensions: Sequence[SizePx]) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self.close = weakref.finalize(self, os.close, self._file)
        self.levels: list[StoredLevel | None] = [None] * len(level_dimensions)
        if vendor in VENDORS:
            tree = tiff.pages(path, wanted=frozenset(Tag) - PLACES)
            fit = [page for page in tree if is_fit(page) and size_of(page) in level_dimensions]
            if fit:
                # a page may say that it has millions; the tables are longer than few tiles' places
                most = max(LONGEST_TABLES, *(number_of_tiles(page) + 1 for page in fit))
                tree = tiff.pages(path, most=most)
            self.levels = [level_of(tree, size) for size in level_dimensions]

    def jpeg(self, level: int, column: int, row: int) -> bytes:
        """Return a stored tile as a JPEG for browsers. Raise NotPlain."""
        stored = self.levels[level]
        if stored is None:
            raise NotPlain("this level is stored otherwise")
        number = row * stored.across + column
        if not 0 <= column < stored.across or not 0 <= number < len(stored.counts):
            raise NotPlain("there is no such tile")
        count = stored.counts[number]
        if not 0 < count <= LARGEST_BYTES:
            raise NotPlain("this tile is not stored, or too large")
        data = os.pread(self._file, count, stored.offsets[number])
        return plain_jpeg(data, stored.tables, stored.tile, is_ycbcr=stored.is_ycbcr)

    def pixels(self, level: int, corner: tuple[int, int], size: SizePx) -> Rgb:
        """Return a box of a level, which lies within it, as RGB (height, width, 3).

        corner, size: whole px of the level. Raise NotPlain.
        """
        stored = self.levels[level]
        if stored is None:
            raise NotPlain("this level is stored otherwise")
        (left, top), (across, down) = corner, stored.tile
        columns = range(left // across, -(-(left + size[0]) // across))
        rows = range(top // down, -(-(top + size[1]) // down))
        if len(columns) * len(rows) > MOST_AT_ONCE:
            raise NotPlain("it is made of too many stored tiles")
        canvas = np.empty((len(rows) * down, len(columns) * across, 3), np.uint8)
        for row, column in product(rows, columns):
            y, x = (row - rows.start) * down, (column - columns.start) * across
            canvas[y : y + down, x : x + across] = decoded(self.jpeg(level, column, row))
        y, x = top - rows.start * down, left - columns.start * across
        return canvas[y : y + size[1], x : x + size[0]]


def decoded(coded: bytes) -> Rgb:
    try:
        pixels: Rgb = decode_jpeg(coded, "RGB")
    except ValueError as error:
        raise NotPlain(str(error)) from error
    return pixels


def size_of(page: Page) -> SizePx:
    return page.whole(Tag.WIDTH), page.whole(Tag.HEIGHT)


def tile_of(page: Page) -> SizePx:
    return page.whole(Tag.TILE_WIDTH), page.whole(Tag.TILE_HEIGHT)


def is_fit(page: Page) -> bool:
    """Say whether a page's tiles are JPEGs of three colours, and not too many."""
    width, height = tile_of(page)
    return (
        page.is_tiled
        and page.whole(Tag.COMPRESSION) == JPEG
        and page.whole(Tag.PHOTOMETRIC) in {YCBCR, RGB_COLOURS}
        and page.whole(Tag.SAMPLES) == 3
        and page.whole(Tag.PLANAR, CHUNKY) == CHUNKY
        and 0 < width <= LARGEST_SIDE
        and 0 < height <= LARGEST_SIDE
        and number_of_tiles(page) <= MOST_TILES
    )


def number_of_tiles(page: Page) -> int:
    (width, height), (across, down) = size_of(page), tile_of(page)
    return -(-width // across) * -(-height // down)


def level_of(pages: Sequence[Page], size: SizePx) -> StoredLevel | None:
    """Return the one page that is a level of this size; None if none is, or it is not fit."""
    alike = [page for page in pages if page.is_tiled and size_of(page) == size]
    if len(alike) != 1 or not is_fit(alike[0]):
        return None
    page = alike[0]
    offsets, counts = page.numbers(Tag.TILE_OFFSETS), page.numbers(Tag.TILE_COUNTS)
    if not len(offsets) == len(counts) == number_of_tiles(page):
        return None
    is_ycbcr = page.whole(Tag.PHOTOMETRIC) == YCBCR
    places = array("Q", offsets), array("Q", counts)
    return StoredLevel(size, tile_of(page), *places, page.content(Tag.JPEG_TABLES), is_ycbcr)
