"""A whole installation into a folder while it runs, and out of it into an empty installation.

The database first, then the files: a row is written after the blob that it names, so every file
that the copied rows name is there to be copied. The sweep waits meanwhile.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import inspect, text

from backend import __version__
from backend.backup import files, postgresql, sqlite
from backend.backup.files import BackupDamaged, CopiedFile
from backend.kit.db.session import Database, get_database
from backend.kit.errors import Conflict, NotFound
from backend.kit.storage.blobs import file_sha256
from backend.kit.storage.sweeping import pause_file
from backend.kit.storage.whole_files import whole_file
from backend.people.audit import service as audit
from backend.settings import Settings
from backend.storage_check import references

SCHEMA = "membrana.backup/1"
MANIFEST = "manifest.json"
Progress = Callable[[float, float], object]
"""Is told how many files are done, and of how many."""


class NotEmpty(Conflict):
    code, title = "not_empty", "There is something already"


class NoBackup(NotFound):
    code, title = "no_backup", "There is no backup"


@dataclass(frozen=True)
class Made:
    """What a backup holds; `missing`: blobs that its rows name and that were not there to copy."""

    files: int
    bytes: int
    missing: list[str]
    damaged: list[str]


def make(settings: Settings, target: Path, *, progress: Progress) -> Made:
    """Write a backup of a running installation into a new or empty folder."""
    target = target.resolve()
    if target.is_relative_to(settings.data.resolve()):
        raise NotEmpty(
            f"{target} lies in the data folder: a backup belongs on another disk.",
            code="backup_inside_data",
        )
    require_empty(target, "backup")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = get_database(settings.sqlalchemy_url)
    with database.writing() as session:
        audit.record(session, None, "backup.made", "installation", "here")
    settings.data.mkdir(parents=True, exist_ok=True)
    with FileLock(pause_file(settings.data)):
        revision = revision_of(database)
        engine = database.engine.dialect.name
        if engine == "postgresql":
            postgresql.dump(database, target)
            named = named_now(database)
        else:
            sqlite.dump(settings.sqlalchemy_url, target)
            copied = Database(f"sqlite:///{target / sqlite.NAME}")
            named = named_now(copied)
            copied.dispose()
        copies: list[CopiedFile] = []
        total = sum(1 for _ in files.living(settings))
        for each in files.copy_all(settings, target):
            copies.append(each)
            progress(len(copies), max(total, len(copies)))
    damaged = [
        each.path for each in copies if is_blob(each) and not each.path.endswith(each.sha256)
    ]
    there = {each.path.rpartition("/")[2] for each in copies if is_blob(each)}
    database_files = [path for path in sorted(target.rglob("*")) if is_of_database(target, path)]
    manifest = {
        "schema": SCHEMA,
        "made_at": datetime.now(UTC).isoformat(),
        "version": __version__,
        "engine": engine,
        "revision": revision,
        "files": len(copies),
        "bytes": sum(each.bytes for each in copies),
        "sha256": {
            str(path.relative_to(target)): file_sha256(path)
            for path in (*database_files, target / files.LIST)
        },
    }
    # the last to be written: a folder without it is no backup
    with whole_file(target / MANIFEST) as file:
        file.write(json.dumps(manifest, indent=1).encode())
    missing = sorted(what for sha256, what in named.items() if sha256 not in there)
    return Made(len(copies), sum(each.bytes for each in copies), missing, damaged)


def is_blob(copied: CopiedFile) -> bool:
    return copied.path.startswith("blobs/")


def is_of_database(target: Path, path: Path) -> bool:
    parts = path.relative_to(target).parts
    return path.is_file() and (
        parts[0] == postgresql.FOLDER or parts in {(postgresql.LIST,), (sqlite.NAME,)}
    )


def named_now(database: Database) -> dict[str, str]:
    """Return the blobs that rows name, and of what each is."""
    with database.reading() as session:
        return {each.sha256: each.what for each in references(session)}


def revision_of(database: Database) -> str:
    with database.engine.connect() as connection:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())


def require_empty(folder: Path, what: str) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotEmpty(
            f"{folder} is not empty: a {what} needs an empty folder, or one that is not there yet."
        )


def restore(settings: Settings, backup: Path, *, progress: Progress) -> dict[str, Any]:
    """Make an empty installation what a backup was; the database is the last to come."""
    manifest = manifest_of(backup)
    database = get_database(settings.sqlalchemy_url)
    engine = database.engine.dialect.name
    if manifest["engine"] != engine:
        raise Conflict(
            f"The backup is of {manifest['engine']}, and this installation is on {engine}.",
            code="backup_of_another_engine",
        )
    require_empty(settings.data, "restored installation")
    if engine == "postgresql" and inspect(database.engine).get_table_names():
        raise NotEmpty("The database has tables already: restore into an empty one.")
    if engine == "sqlite" and sqlite.place(settings.sqlalchemy_url).exists():
        raise NotEmpty(f"There is a database already: {sqlite.place(settings.sqlalchemy_url)}.")
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for done, _ in enumerate(files.bring_back(settings, backup), 1):
        progress(done, manifest["files"])
    if engine == "postgresql":
        postgresql.load(database, backup, manifest["revision"])
    else:
        sqlite.load(settings.sqlalchemy_url, backup)
    return manifest


def manifest_of(backup: Path) -> dict[str, Any]:
    """Read what a backup says of itself and check its database and list by their hashes."""
    try:
        manifest: dict[str, Any] = json.loads((backup / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise NoBackup(
            f"{backup} holds no {MANIFEST}: it is no backup, or one that was never finished."
        ) from None
    except ValueError:
        raise BackupDamaged(f"{backup / MANIFEST} can't be read.") from None
    if manifest.get("schema") != SCHEMA:
        raise BackupDamaged(f"{backup} is a backup of another kind than {SCHEMA}.")
    for name, sha256 in manifest["sha256"].items():
        path = backup / name
        if not path.is_file() or file_sha256(path) != sha256:
            raise BackupDamaged(f"{name} is missing from the backup, or was changed since.")
    return manifest
