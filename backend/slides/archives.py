"""Zips that hold a slide of many files (MIRAX, DICOM): checked before a byte is unpacked.

Whoever made the zip may be hostile: no path leaves the folder, no links, no bombs.
"""

import errno
import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from backend.errors import NoSpace, Unprocessable
from backend.settings import Settings
from backend.slides import mirax

DICOM_MAGIC, DICOM_AT = b"DICM", 128
COPY_BYTES = 1 << 20
MOST_EXPANSION = 20
"""Pixels are compressed already: a zip that grows more than this is a trap."""
SMALL = 64 * 2**20
"""Below this much unpacked data no expansion is a danger."""
BYTES_PER_ENTRY = 1024
"""A generous directory entry: name, extra field, comment."""
END, END64, LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
END_BYTES = 22 + 65_535
ENCRYPTED = 0x1
LOOKED_INTO = 2000


class ArchiveUnreadable(Unprocessable):
    code, title = "archive_unreadable", "The zip can't be read"


class ArchiveUnsafe(Unprocessable):
    code, title = "archive_unsafe", "The zip is not safe to unpack"


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
            check_members(archive, path.stat().st_size, settings)
            found = holds_slide(archive)
    except (*BROKEN, RuntimeError) as error:
        raise ArchiveUnreadable(DAMAGED) from error
    if not found:
        raise ArchiveWithoutSlide(
            "The zip holds neither a MIRAX slide (Slidedat.ini beside its data files) nor DICOM "
            "files. Single-file slides are uploaded as they are, without a zip."
        )


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


def check_members(archive: zipfile.ZipFile, size: int, settings: Settings) -> None:
    """Raise ArchiveUnsafe or ArchiveTooLarge for what no honest slide has."""
    members = archive.infolist()
    if len(members) > settings.max_archive_entries:
        raise ArchiveTooLarge(f"The zip has more than {settings.max_archive_entries} files.")
    names: set[str] = set()
    for member in members:
        check_name(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise ArchiveUnsafe("The zip holds links or devices; pack plain files only.")
        if member.flag_bits & ENCRYPTED:
            raise ArchiveUnsafe("The zip asks for a password; pack it without one.")
        folded = member.filename.rstrip("/").casefold()
        if folded in names:
            raise ArchiveUnsafe("The zip holds two files of one name.")
        names.add(folded)
    total = sum(member.file_size for member in members)
    if total > settings.max_upload_bytes:
        raise ArchiveTooLarge("Unpacked, the zip is larger than this installation takes.")
    if total > max(SMALL, MOST_EXPANSION * size):
        raise ArchiveTooLarge("The zip grows far more than a packed slide does.")


def check_name(name: str) -> None:
    parts = PurePosixPath(name).parts
    drive = any(":" in part for part in parts)
    if not parts or name.startswith("/") or ".." in parts or drive or "\\" in name or "\0" in name:
        raise ArchiveUnsafe("The zip holds a file whose path leads out of its folder.")


def holds_slide(archive: zipfile.ZipFile) -> bool:
    """Say whether a MIRAX or DICOM slide is there; raise SlideIncomplete if its files are not."""
    files = [member for member in archive.infolist() if not member.is_dir()]
    indices = [member for member in files if mirax.is_index(member.filename)]
    names = {member.filename for member in files}
    for member in indices:
        with archive.open(member) as file:
            content = file.read(mirax.MOST_INDEX_BYTES + 1)
        if len(content) > mirax.MOST_INDEX_BYTES:
            raise ArchiveUnreadable("The zip's Slidedat.ini is far too long to be one.")
        mirax.check_index(member.filename, content, names)
    if indices:
        return True
    for member in files[:LOOKED_INTO]:
        with archive.open(member) as file:
            if file.read(DICOM_AT + len(DICOM_MAGIC))[DICOM_AT:] == DICOM_MAGIC:
                return True
    return False


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
            for member in archive.infolist():
                check()
                target = folder / member.filename
                if member.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("xb") as sink:
                    copy_at_most(source, sink, member.file_size)
    except (*BROKEN, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
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
