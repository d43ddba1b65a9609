"""A zip that is sent while it is written: no file on disk, no more than a piece in memory.

What stays is the list of names that ends it, about half a kilobyte an entry.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@dataclass(frozen=True)
class Entry:
    """A file of an archive; `packed`: whether deflating it is worth the time."""

    name: str
    pieces: Iterable[bytes]
    packed: bool = True


class Pipe(io.RawIOBase):
    """What was written since it was last emptied."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: "ReadableBuffer") -> int:
        content = bytes(piece)
        self._waiting.append(content)
        return len(content)

    def take(self) -> bytes:
        content = b"".join(self._waiting)
        self._waiting.clear()
        return content


def zipped(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield a zip of the entries; the same ones make the same bytes."""
    pipe = Pipe()
    with ZipFile(pipe, "w") as archive:
        for entry in entries:
            # a date would make equal exports differ
            info = ZipInfo(entry.name)
            info.compress_type = ZIP_DEFLATED if entry.packed else ZIP_STORED
            with archive.open(info, "w", force_zip64=True) as file:
                for piece in entry.pieces:
                    file.write(piece)
                    if written := pipe.take():
                        yield written
        yield pipe.take()
    yield pipe.take()
