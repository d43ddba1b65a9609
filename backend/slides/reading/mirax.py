"""The files that a MIRAX index (Slidedat.ini) names: OpenSlide opens them wherever they lie.

So each name must be one of the index's own neighbours, or whoever made the index reads files of
the server through it.
"""

import re
from collections.abc import Container, Iterator
from pathlib import Path, PurePosixPath

from backend.kit.errors import Unprocessable

INDEX = "Slidedat.ini"
PREVIEW = ".mrxs"
"""Ending of the small picture that other programs open; the slide is the folder beside it."""
PART = re.compile(r"slidedat\.ini|index\.dat|data\d+\.dat|.*\.mrxs", re.IGNORECASE)
"""Names that files of a MIRAX slide have."""
MOST_INDEX_BYTES = 1 << 20
"""OpenSlide reads no longer one either."""
NAMED = re.compile(r"\s*(?:INDEXFILE|FILE_\d+)\s*=(.*)", re.ASCII)


class SlideIncomplete(Unprocessable):
    code, title = "slide_incomplete", "Files of the slide are missing"


def is_index(name: str) -> bool:
    return PurePosixPath(name).name.casefold() == INDEX.casefold()


def check_alone(name: str) -> None:
    """Raise SlideIncomplete for a file that is named as one of a MIRAX slide's many."""
    if PART.fullmatch(name):
        raise SlideIncomplete(
            "This file alone is not a MIRAX slide: the .mrxs file is only a preview, and the slide "
            "lies in the folder of the same name beside it. Pack the .mrxs file together with that "
            "folder into a zip, and upload the zip."
        )


def check_index(place: str, content: bytes, members: Container[str]) -> None:
    """Raise SlideIncomplete unless all that the index at `place` names lies beside it.

    `members` are the casefolded paths of the archive's files: Windows finds them in any case.
    """
    folder = PurePosixPath(place).parent
    for name in files_named(content):
        plain = name not in {"", ".", ".."} and "/" not in name and "\\" not in name
        if not plain or str(folder / name).casefold() not in members:
            raise SlideIncomplete(
                f"The slide's index {PurePosixPath(place).name} names a file that the zip does "
                "not hold beside it. Pack the .mrxs file and its whole folder anew."
            )


def spell(index: Path) -> Path:
    """Rename an unpacked index and its files as the index spells them; return the index.

    OpenSlide minds the case, which Windows does not, and tools that pack zips may change.
    """
    there = {path.name.casefold(): path for path in index.parent.iterdir()}
    for name in (INDEX, *files_named(index.read_bytes())):
        file = there.get(name.casefold())
        if file is not None and file.name != name:
            there[name.casefold()] = file.rename(file.with_name(name))
    return index.with_name(INDEX)


def files_named(content: bytes) -> Iterator[str]:
    """Yield what an index gives as its files, whatever group of it they stand in."""
    for line in content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape").split("\n"):
        if match := NAMED.match(line):
            yield match[1].strip()
