"""A TIFF's own table of contents, read without decoding a pixel: what each page says it holds.

Classic and BigTIFF of either byte order. A file is hostile until it is read: counts are bounded
and a value beyond the file's end is none.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MANY_PAGES = 10_000
MANY_VALUES = 16_000_000
"""Most values of one tag: tiles of 64 px on the largest slide there is."""
FORMS = {1: "s", 2: "s", 3: "H", 4: "I", 6: "b", 7: "s", 8: "h", 9: "i", 11: "f", 12: "d"} | {
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}
"""Letters of `struct` for the types of values."""
RATIONALS = {5: "I", 10: "i"}
"""Of a rational: two numbers each."""

BYTES = range(256)
Value = bytes | tuple[int | float, ...]


class Tag(IntEnum):
    KIND = 254
    OLD_KIND = 255
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    DESCRIPTION = 270
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    STRIP_COUNTS = 279
    MAX_SAMPLE = 281
    X_RESOLUTION = 282
    Y_RESOLUTION = 283
    PLANAR = 284
    RESOLUTION_UNIT = 296
    SOFTWARE = 305
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_COUNTS = 325
    SUB_DIRECTORIES = 330
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    SMAX_SAMPLE = 341
    JPEG_TABLES = 347
    XMP = 700


PLACES = frozenset(
    {Tag.STRIP_OFFSETS, Tag.STRIP_COUNTS, Tag.TILE_OFFSETS, Tag.TILE_COUNTS, Tag.JPEG_TABLES}
)
"""Of pixels in the file: many numbers, that only reading them needs."""


@dataclass(frozen=True)
class Layout:
    """How a file writes its numbers."""

    order: str
    big: bool

    @property
    def start(self) -> int:
        """Where the first directory's offset stands."""
        return 8 if self.big else 4

    @property
    def offset(self) -> str:
        return f"{self.order}{'Q' if self.big else 'I'}"

    @property
    def number(self) -> str:
        return f"{self.order}{'Q' if self.big else 'H'}"

    @property
    def entry(self) -> int:
        return 20 if self.big else 12


@dataclass(frozen=True)
class Page:
    """One directory of a TIFF: its tags by number, as far as they can be read."""

    tags: Mapping[int, Value]

    def whole(self, tag: Tag, otherwise: int = 0) -> int:
        """Return a tag's first whole number."""
        return next(iter(self.numbers(tag)), otherwise)

    def numbers(self, tag: Tag) -> tuple[int, ...]:
        value = self.tags.get(tag, ())
        if isinstance(value, bytes):
            return ()
        return tuple(each for each in value if isinstance(each, int))

    def text(self, tag: Tag) -> str:
        content = self.content(tag).rstrip(b"\0")
        try:
            return content.decode()
        except UnicodeDecodeError:
            # programs that know one byte a letter: their µ is one
            return content.decode("latin-1")

    def content(self, tag: Tag) -> bytes:
        """Return a tag's bytes, whichever of TIFF's types for bytes it has."""
        value = self.tags.get(tag, b"")
        if isinstance(value, bytes):
            return value
        return bytes(each for each in value if isinstance(each, int) and each in BYTES)

    @property
    def pixels(self) -> int:
        return self.whole(Tag.WIDTH) * self.whole(Tag.HEIGHT)

    @property
    def is_tiled(self) -> bool:
        return Tag.TILE_WIDTH in self.tags


def layout_of(file: BinaryIO) -> Layout | None:
    """Read which kind of TIFF a file is; None for what is none."""
    file.seek(0)
    head = file.read(4)
    if head not in MAGIC:
        return None
    return Layout("<" if head.startswith(b"II") else ">", head[2:4] in {b"+\0", b"\0+"})


def directories(file: BinaryIO, size: int) -> Iterator[int | None]:
    """Yield where each directory begins; at last None if one lies beyond the file's end."""
    layout = layout_of(file)
    if layout is None:
        return
    file.seek(layout.start)
    offset = number(file, layout.offset)
    visited: set[int] = set()
    while offset and offset not in visited and len(visited) < MANY_PAGES:
        visited.add(offset)
        file.seek(min(offset, size))
        count = number(file, layout.number)
        after = None
        if count is not None:
            file.seek(min(offset + struct.calcsize(layout.number) + count * layout.entry, size))
            after = number(file, layout.offset)
        if after is None:
            yield None
            return
        yield offset
        offset = after
    if offset is None:
        yield None


def number(file: BinaryIO, form: str) -> int | None:
    """Read one number; None at the end of the file."""
    data = file.read(struct.calcsize(form))
    return int(struct.unpack(form, data)[0]) if len(data) == struct.calcsize(form) else None


def is_complete(file: BinaryIO, size: int) -> bool:
    """Say whether every directory of a TIFF or BigTIFF lies inside the file, and has pixels."""
    offsets = list(directories(file, size))
    return bool(offsets) and None not in offsets


def pages(
    path: Path, *, wanted: frozenset[int] = frozenset(Tag), most: int = MANY_VALUES
) -> list[Page]:
    """Return a TIFF's pages in their order, with the wanted tags; none of another file.

    most: values read of a tag, however many it says to have.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        layout = layout_of(file)
        if layout is None:
            return []
        offsets = list(directories(file, size))
        there = [each for each in offsets if each is not None]
        return [page_at(file, layout, each, size, wanted, most) for each in there]


def trees(path: Path, *, with_places: bool = False) -> list[tuple[Page, list[Page]]]:
    """Return a TIFF's pages in their order, each with its sub-directories (SubIFDs).

    with_places: also where their pixels stand in the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        layout = layout_of(file)
        if layout is None:
            return []
        wanted = frozenset(Tag) - (frozenset() if with_places else PLACES)
        page_trees: list[tuple[Page, list[Page]]] = []
        left = MANY_PAGES
        for offset in [each for each in directories(file, size) if each is not None]:
            page = page_at(file, layout, offset, size, wanted)
            below = page.numbers(Tag.SUB_DIRECTORIES)[:left]
            left -= len(below)
            inside = [page_at(file, layout, each, size, wanted) for each in below if each < size]
            page_trees.append((page, inside))
        return page_trees


def page_at(
    file: BinaryIO,
    layout: Layout,
    offset: int,
    size: int,
    wanted: frozenset[int],
    most: int = MANY_VALUES,
) -> Page:
    file.seek(offset)
    count = number(file, layout.number) or 0
    table = file.read(min(count, 65_535) * layout.entry)
    tags: dict[int, Value] = {}
    for start in range(0, len(table) - layout.entry + 1, layout.entry):
        entry = table[start : start + layout.entry]
        tag, kind = struct.unpack_from(f"{layout.order}HH", entry)
        if tag not in wanted or kind not in FORMS | RATIONALS:
            continue
        value = value_of(file, layout, kind, entry[4:], size, most)
        if value is not None:
            tags[tag] = value
    return Page(tags)


def value_of(
    file: BinaryIO, layout: Layout, kind: int, entry: bytes, size: int, most: int
) -> Value | None:
    """Read a tag's values, which lie in its entry or where that points to."""
    (many,) = struct.unpack_from(layout.offset, entry)
    many = min(many, most)
    inline = entry[struct.calcsize(layout.offset) :]
    per_value, letter = (2, RATIONALS[kind]) if kind in RATIONALS else (1, FORMS[kind])
    form = f"{layout.order}{many * per_value}{letter}"
    length = struct.calcsize(form)
    data = inline[:length]
    if length > len(inline):
        (where,) = struct.unpack(layout.offset, inline)
        if where + length > size:
            return None
        file.seek(where)
        data = file.read(length)
    if letter == "s":
        return data
    numbers = struct.unpack(form, data)
    if per_value == 1:
        return numbers
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return tuple(above / below if below else 0.0 for above, below in pairs)
