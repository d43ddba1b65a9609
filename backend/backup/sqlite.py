"""SQLite's database in a backup: its online backup, which no writer waits for."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from backend.backup.files import BackupDamaged
from backend.kit.storage.whole_files import whole_path

NAME = "membrana.db"


def place(url: str) -> Path:
    return Path(str(make_url(url).database))


def dump(url: str, backup: Path) -> None:
    """Copy the database of this moment (https://sqlite.org/backup.html)."""
    with (
        closing(sqlite3.connect(place(url))) as source,
        whole_path(backup / NAME) as written,
        closing(sqlite3.connect(written)) as copy,
    ):
        source.backup(copy)
        # one file, without a log beside it
        copy.execute("PRAGMA journal_mode=DELETE")


def load(url: str, backup: Path) -> None:
    """Put the copied database into the place of none. Raise BackupDamaged."""
    try:
        with closing(sqlite3.connect(f"file:{backup / NAME}?mode=ro", uri=True)) as source:
            [answer] = source.execute("PRAGMA integrity_check(1)").fetchone()
            if answer != "ok":
                raise BackupDamaged(f"The backup's database is damaged: {answer}")
            place(url).parent.mkdir(parents=True, exist_ok=True)
            with whole_path(place(url)) as written, closing(sqlite3.connect(written)) as copy:
                source.backup(copy)
    except sqlite3.DatabaseError as error:
        raise BackupDamaged(f"The backup's database can't be read: {error}.") from None
