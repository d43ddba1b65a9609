"""The files that a MIRAX index (Slidedat.ini) names: OpenSlide opens them wherever they lie.

So each name must be one of the index's own neighbours, or whoever made the index reads files of
the server through it.
"""

import re
from collections.abc import Container, Iterator
from pathlib import PurePosixPath

from backend.errors import Unprocessable

INDEX = "slidedat.ini"
MOST_INDEX_BYTES = 1 << 20
"""OpenSlide reads no longer one either."""
NAMED = re.compile(r"\s*(?:INDEXFILE|FILE_\d+)\s*=(.*)", re.ASCII)


class SlideIncomplete(Unprocessable):
    code, title = "slide_incomplete", "Files of the slide are missing"


def is_index(name: str) -> bool:
    return PurePosixPath(name).name.lower() == INDEX


def check_index(place: str, content: bytes, members: Container[str]) -> None:
    """Raise SlideIncomplete unless all that the index at `place` names lies beside it.

    `members` are the paths of the archive's files.
    """
    folder = PurePosixPath(place).parent
    for name in files_named(content):
        plain = name not in {"", ".", ".."} and "/" not in name and "\\" not in name
        if not plain or str(folder / name) not in members:
            raise SlideIncomplete(
                f"The slide's index {PurePosixPath(place).name} names a file that the zip does "
                "not hold beside it. Pack the .mrxs file and its whole folder anew."
            )


def files_named(content: bytes) -> Iterator[str]:
    """Yield what an index gives as its files, whatever group of it they stand in."""
    for line in content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape").split("\n"):
        if found := NAMED.match(line):
            yield found[1].strip()
