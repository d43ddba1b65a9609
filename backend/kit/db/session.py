"""Engines and sessions. The session commits at the edge (a request, a job), never in a service."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from backend.kit.db import outbox
from backend.kit.db.changes import Changes

BUSY_MS = 30_000
"""So long a statement waits for what others hold; then it fails, and may be tried again."""


def make_engine(url: str) -> Engine:
    """Make an engine; on SQLite: WAL, foreign keys, patience, explicit BEGIN."""
    if not url.startswith("sqlite"):
        server = create_engine(url, pool_pre_ping=True, pool_size=20, max_overflow=20)
        event.listen(server, "connect", as_patient)
        return server
    engine = create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1000},
        pool_size=20,
        max_overflow=40,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # sqlite3 opens transactions late and by itself; ours are opened below, by us
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            # NORMAL under WAL forgets commits at a power cut: a mask that was answered as saved
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_MS}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A read that is upgraded to a write fails at once whatever the timeout,
        # so whoever may write says so at the start and waits there.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def as_patient(connection: Any, _record: Any) -> None:
    """Have PostgreSQL wait for a lock as long as SQLite does, and not for ever."""
    connection.autocommit = True
    connection.execute(f"SET lock_timeout = {BUSY_MS}")
    connection.autocommit = False


class Database:
    """One engine and its two kinds of session: readers, and writers that queue for the lock."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self._read = sessionmaker(self.engine, expire_on_commit=False)
        self._write = sessionmaker(
            self.engine.execution_options(writes=True), expire_on_commit=False
        )
        self.changes = Changes(self._write)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session whose changes are thrown away."""
        with self._read() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Yield a session; do its last acts and commit, roll back on any error, ring the bells."""
        with self._write() as session:
            with session.begin():
                yield session
                outbox.finish(session)
            self.changes.committed(session)
            outbox.send(session)

    def dispose(self) -> None:
        self.engine.dispose()


@lru_cache
def get_database(url: str) -> Database:
    """Return this process's database of that URL."""
    return Database(url)
