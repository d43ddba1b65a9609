"""The files of a backup: copied with their hashes, listed, and brought back as they were listed."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from backend.kit.errors import MembranaError
from backend.kit.storage.whole_files import whole_file
from backend.settings import Settings

PIECE = 4 << 20
FOLDER, LIST = "files", "files.jsonl"


class BackupDamaged(MembranaError):
    status, code, title = 422, "backup_damaged", "The backup is not whole"


@dataclass(frozen=True)
class CopiedFile:
    """A file below the data folder, by its path there; `mtime` in seconds."""

    path: str
    bytes: int
    sha256: str
    mtime: float


def folders(settings: Settings) -> list[Path]:
    """Return what is copied of a data folder: all but the database, the broker, logs and locks."""
    return [
        settings.blob_folder,
        settings.pyramid_folder,
        settings.slide_folder,
        settings.upload_folder,
        settings.training_folder,
        settings.audit_folder,
    ]


def living(settings: Settings) -> Iterator[Path]:
    """Yield every file to copy; hidden ones are drafts that nobody has finished."""
    for folder in folders(settings):
        for root, names, file_names in os.walk(folder):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for name in sorted(file_names):
                if not name.startswith("."):
                    yield Path(root) / name


def copy_all(settings: Settings, target: Path) -> Iterator[CopiedFile]:
    """Copy the files of a running installation; one that goes meanwhile was not needed any more.

    Yields what was copied; at the end the list of it stands in the backup.
    """
    with whole_file(target / LIST) as listed:
        for source in living(settings):
            path = source.relative_to(settings.data)
            try:
                copied = copy(source, target / FOLDER / path, str(PurePosixPath(path)))
            except FileNotFoundError:
                continue
            listed.write(json.dumps(asdict(copied)).encode() + b"\n")
            yield copied
    os.sync()


def copy(source: Path, target: Path, path: str) -> CopiedFile:
    """Copy a file and hash what was copied."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as content:
        mtime = os.fstat(content.fileno()).st_mtime
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as written:
            while piece := content.read(PIECE):
                digest.update(piece)
                size += written.write(piece)
    os.utime(target, (mtime, mtime))
    return CopiedFile(path, size, digest.hexdigest(), mtime)


def listed_in(backup: Path) -> list[CopiedFile]:
    """Return what a backup lists. Raise BackupDamaged for a list that names places outside."""
    try:
        rows = [
            CopiedFile(**json.loads(line)) for line in (backup / LIST).read_bytes().splitlines()
        ]
    except (OSError, ValueError, TypeError):
        raise BackupDamaged(f"The list of the backup's files, {LIST}, can't be read.") from None
    for row in rows:
        path = PurePosixPath(row.path)
        if path.is_absolute() or ".." in path.parts:
            raise BackupDamaged(f"{LIST} names {row.path}, which lies in no data folder.")
    return rows


def bring_back(settings: Settings, backup: Path) -> Iterator[CopiedFile]:
    """Copy a backup's files into an empty data folder. Raise BackupDamaged for one that differs."""
    for row in listed_in(backup):
        source = backup / FOLDER / row.path
        try:
            copied = copy(source, settings.data / row.path, row.path)
        except FileNotFoundError:
            raise BackupDamaged(f"The backup lacks {row.path}.") from None
        if copied.sha256 != row.sha256:
            raise BackupDamaged(f"{row.path} is not what was copied: the backup was changed.")
        yield copied
    os.sync()
