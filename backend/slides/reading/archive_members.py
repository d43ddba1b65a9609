"""The files of a zip and where each will lie: names made by any system, brought to one spelling.

Windows writes backslashes, a Mac adds files of its own. No path leads out of the folder that it is
unpacked into.
"""

import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from backend.kit.errors import Unprocessable
from backend.slides.reading import mirax

ENCRYPTED = 0x1
DRIVE = re.compile(r"[A-Za-z]:")
FOREIGN = frozenset(
    {
        *("__macosx", ".spotlight-v100", ".trashes", ".fseventsd"),
        *(".ds_store", "thumbs.db", "desktop.ini"),
    }
)
"""What systems leave in every folder: no part of a slide, though some bear its name."""
LONGEST_NAME = 255
"""Bytes of one part of a path, that every disk takes."""

Members = dict[PurePosixPath, zipfile.ZipInfo]


class ArchiveUnreadable(Unprocessable):
    code, title = "archive_unreadable", "The zip can't be read"


class ArchiveUnsafe(Unprocessable):
    code, title = "archive_unsafe", "The zip is not safe to unpack"


def members_of(archive: zipfile.ZipFile) -> Members:
    """Return a zip's files and folders by the place where each is to lie.

    Raise ArchiveUnsafe for what no honest slide has, SlideIncomplete for a MIRAX slide of which
    files are missing.
    """
    members = dict(plain(archive))
    check_indices(archive, members)
    return members


def plain(archive: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """Yield each member with its path; raise ArchiveUnsafe."""
    folded: set[str] = set()
    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise ArchiveUnsafe("The zip holds links or devices; pack plain files only.")
        if member.flag_bits & ENCRYPTED:
            raise ArchiveUnsafe("The zip asks for a password; pack it without one.")
        path = path_of(member.filename)
        if is_foreign(path):
            continue
        if str(path).casefold() in folded:
            raise ArchiveUnsafe(f"The zip holds two files of one name: {path}.")
        folded.add(str(path).casefold())
        yield path, member


def is_folder(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith(("/", "\\"))


def path_of(name: str) -> PurePosixPath:
    """Return where a file is to lie, whatever system named it; raise ArchiveUnsafe.

    A backslash parts folders, as on Windows. A colon that is no drive's is part of a name on other
    systems, but nowhere on Windows: an underscore stands for it.
    """
    slashed = name.replace("\\", "/")
    parts = PurePosixPath(slashed).parts
    if not parts or slashed.startswith("/") or ".." in parts or DRIVE.match(parts[0]):
        raise ArchiveUnsafe("The zip holds a file whose path leads out of its folder.")
    if "\0" in name:
        raise ArchiveUnsafe("The zip holds a file whose name ends in its middle.")
    if any(len(part.encode(errors="surrogateescape")) > LONGEST_NAME for part in parts):
        raise ArchiveUnsafe("The zip holds a file whose name is too long for a disk.")
    return PurePosixPath(*(part.replace(":", "_") for part in parts))


def is_foreign(path: PurePosixPath) -> bool:
    """Say whether a file is a system's own; a Mac's resource forks lie beside the files, too."""
    parts = {part.casefold() for part in path.parts}
    return bool(parts & FOREIGN) or path.name.startswith("._")


def check_indices(archive: zipfile.ZipFile, members: Members) -> None:
    """Raise SlideIncomplete unless each MIRAX index finds its files, in whatever case."""
    folded = {str(path).casefold() for path, member in members.items() if not is_folder(member)}
    for place in [path for path in members if mirax.is_index(path.name)]:
        with archive.open(members[place]) as file:
            content = file.read(mirax.MOST_INDEX_BYTES + 1)
        if len(content) > mirax.MOST_INDEX_BYTES:
            raise ArchiveUnreadable("The zip's Slidedat.ini is far too long to be one.")
        mirax.check_index(str(place), content, folded)
