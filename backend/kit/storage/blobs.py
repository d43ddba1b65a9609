"""Blobs: immutable bytes named by their sha256.

Blob first, row second: a crash leaves an orphan to sweep, never a row that points at nothing.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from backend.kit.errors import MembranaError, NotFound
from backend.kit.storage.whole_files import sync_folder, whole_file

SWEPT = ".swept-"
"""Begins the name of a blob that a sweep is about to delete."""


class BlobMissing(NotFound):
    code, title = "blob_missing", "A stored file is gone"


class BlobDamaged(MembranaError):
    code, title = "blob_damaged", "A stored file is not what it was"


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def also_at(source: Path, target: Path) -> None:
    """Give a file a second name; where a file system has no such thing, copy it, whole or not.

    Who dies on the way, or meets a full disk, leaves no half file under the name.
    """
    with suppress(OSError):
        os.link(source, target)
        return
    with whole_file(target) as copy, source.open("rb") as content:
        shutil.copyfileobj(content, copy)


class Blobs:
    """A folder of blobs: `ab/abcdef…`. Writers never see half a blob, whoever dies when."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def renew(self, sha256: str) -> bool:
        """Say whether a blob is there. It is young again then: no sweep takes it for a while."""
        try:
            os.utime(self.path(sha256))
        except FileNotFoundError:
            return False
        # a sweep that took it in this moment has not seen that it is young
        return self.has(sha256)

    def put(self, data: bytes) -> str:
        """Store bytes and return their sha256."""
        sha256 = hashlib.sha256(data).hexdigest()
        if self.renew(sha256):
            return sha256
        with whole_file(self.path(sha256)) as file:
            file.write(data)
        return sha256

    def adopt(self, source: Path, sha256: str) -> Path:
        """Move a finished file of the same file system in; its sha256 is the caller's word."""
        target = self.path(sha256)
        if self.renew(sha256):
            source.unlink()
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        os.utime(source)
        with source.open("rb") as file:
            os.fsync(file.fileno())
        source.replace(target)
        sync_folder(target.parent)
        return target

    def read(self, sha256: str) -> bytes:
        """Return the bytes of that sha256 and no others. Raise BlobMissing, BlobDamaged."""
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise BlobMissing(f"The stored file {sha256[:12]}… is not on disk.") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BlobDamaged(
                f"The stored file {sha256[:12]}… holds other bytes than were stored: a disk has "
                "failed, or somebody has changed it. Bring it back from a backup."
            )
        return data

    def delete(self, sha256: str) -> None:
        self.path(sha256).unlink(missing_ok=True)

    def discard(self, sha256: str, before: datetime) -> bool:
        """Delete a blob unless it was stored again since `before`; say whether it is gone.

        It steps aside first: who stores it meanwhile finds none and writes it anew.
        """
        path = self.path(sha256)
        aside = path.with_name(SWEPT + sha256)
        try:
            path.rename(aside)
        except FileNotFoundError:
            return False
        if aside.stat().st_mtime >= before.timestamp():
            aside.rename(path)
            return False
        aside.unlink()
        return True

    def __iter__(self) -> Iterator[str]:
        """Yield the sha256 of every blob."""
        for path in self.folder.glob("??/*"):
            if not path.name.startswith("."):
                yield path.name
