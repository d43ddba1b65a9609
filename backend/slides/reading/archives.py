"""Zips that hold a slide of many files (MIRAX, DICOM): checked before a byte is unpacked.

Whoever made the zip may be hostile: no path leaves the folder, no links, no bombs.
"""

import lzma
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from backend.kit.errors import NoSpace, Unprocessable, is_disk_full
from backend.settings import Settings
from backend.slides.reading import dicom, mirax
from backend.slides.reading.archive_members import (
    ArchiveUnreadable,
    ArchiveUnsafe,
    Members,
    is_folder,
    members_of,
)

COPY_BYTES = 1 << 20
MOST_EXPANSION = 20
"""Pixels are compressed already: a zip that grows more than this is a trap."""
SMALL = 64 * 2**20
"""Below this much unpacked data no expansion is a danger."""
BYTES_PER_ENTRY = 1024
"""A generous directory entry: name, extra field, comment."""
END, END64, LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
END_BYTES = 22 + 65_535
SLIDES_OF_ONE_FILE = frozenset(
    {".svs", ".ndpi", ".scn", ".bif", ".czi", ".tif", ".tiff", ".qptiff"}
)
MOST_NAMED = 5
"""Files named in a sentence."""


class ArchiveTooLarge(Unprocessable):
    code, title = "archive_too_large", "The zip would unpack to too much"


class ArchiveWithoutSlide(Unprocessable):
    code, title = "archive_without_slide", "The zip holds no slide"


DAMAGED = "The zip is damaged or not complete. Make it anew and upload it again."
BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,
    ValueError,
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
    MemoryError,
    struct.error,
)
"""What reading a damaged zip may raise; whatever it is, the person hears one sentence."""


def inspect(path: Path, settings: Settings) -> None:
    """Raise unless the zip is safe to unpack and holds a MIRAX or DICOM slide."""
    with path.open("rb") as file:
        check_directory(file, path.stat().st_size, settings.max_archive_entries)
    try:
        with zipfile.ZipFile(path) as archive:
            check_sizes(archive, path.stat().st_size, settings)
            check_holds_slide(archive, members_of(archive))
    except (*BROKEN, RuntimeError) as error:
        raise ArchiveUnreadable(DAMAGED) from error


def check_directory(file: BinaryIO, size: int, most_entries: int) -> None:
    """Refuse a directory too large to be read into memory, before reading it."""
    file.seek(max(0, size - END_BYTES))
    tail = file.read(END_BYTES)
    at = tail.rfind(END)
    if at < 0 or len(tail) < at + 22:
        raise ArchiveUnreadable(DAMAGED)
    entries, length = struct.unpack_from("<HI", tail, at + 10)
    locator = tail.rfind(LOCATOR64, 0, at)
    if locator >= 0:
        (end64,) = struct.unpack_from("<Q", tail, locator + 8)
        file.seek(min(end64, size))
        record = file.read(56)
        if len(record) < 56 or not record.startswith(END64):
            raise ArchiveUnreadable(DAMAGED)
        entries, length = struct.unpack_from("<QQ", record, 32)
    if entries > most_entries or length > most_entries * BYTES_PER_ENTRY:
        raise ArchiveTooLarge(
            f"The zip has {entries} files; this installation takes {most_entries}.",
        )


def check_sizes(archive: zipfile.ZipFile, size: int, settings: Settings) -> None:
    """Raise ArchiveTooLarge for what would fill the disk."""
    members = archive.infolist()
    if len(members) > settings.max_archive_entries:
        raise ArchiveTooLarge(f"The zip has more than {settings.max_archive_entries} files.")
    total = sum(member.file_size for member in members)
    if total > settings.max_upload_bytes:
        raise ArchiveTooLarge("Unpacked, the zip is larger than this installation takes.")
    if total > max(SMALL, MOST_EXPANSION * size):
        raise ArchiveTooLarge("The zip grows far more than a packed slide does.")


def check_holds_slide(archive: zipfile.ZipFile, members: Members) -> None:
    """Raise ArchiveWithoutSlide, saying what is there instead, or SlideIncomplete."""
    members = {path: member for path, member in members.items() if not is_folder(member)}
    indices = [path for path in members if mirax.is_index(path.name)]
    previews = [path for path in members if path.suffix.casefold() == mirax.PREVIEW]
    if len(previews) > len(indices):
        raise mirax.SlideIncomplete(
            f"The zip holds {named(previews)}, and for {len(indices) or 'none'} of them a folder "
            "with Slidedat.ini. Pack each .mrxs file together with its folder of the same name."
        )
    if indices:
        return
    for member in members.values():
        with archive.open(member) as file:
            if dicom.has_magic(file):
                return
    single = [path for path in members if path.suffix.casefold() in SLIDES_OF_ONE_FILE]
    if single:
        raise ArchiveWithoutSlide(
            f"The zip holds {named(single)}: a slide of a single file is uploaded as it is. Unpack "
            "the zip and upload that."
        )
    raise ArchiveWithoutSlide(
        f"The zip holds {named(members) or 'no file'}: neither a MIRAX slide (Slidedat.ini beside "
        "its data files) nor DICOM files."
    )


def named(paths: Iterable[PurePosixPath]) -> str:
    """Name files in a sentence, and say how many more there are."""
    names = sorted(map(str, paths))
    more = f" and {len(names) - MOST_NAMED} more files" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def unpack(path: Path, folder: Path, settings: Settings, *, check: Callable[[], None]) -> None:
    """Unpack a zip into a new folder; `check` is called between files and may raise.

    The zip is inspected again: what lies on disk is not trusted for having been looked at once.
    """
    inspect(path, settings)
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
            room = shutil.disk_usage(folder.parent).free - settings.free_space_reserve_bytes
            if total > room:
                raise NoSpace("There is no room on the server's disk to unpack this zip.")
            for place, member in members_of(archive).items():
                check()
                target = folder / place
                if is_folder(member):
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("xb") as sink:
                    copy_at_most(source, sink, member.file_size)
    except (*BROKEN, RuntimeError) as error:
        if is_disk_full(error):
            raise NoSpace("The server's disk filled up while the zip was unpacked.") from error
        raise ArchiveUnreadable(DAMAGED) from error


def copy_at_most(source: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Copy a member, and stop one that is longer than its entry says."""
    left = most
    while chunk := source.read(COPY_BYTES):
        left -= len(chunk)
        if left < 0:
            raise ArchiveUnsafe("A file in the zip is longer than the zip says.")
        sink.write(chunk)
