"""How often this process has written to each table: what is remembered of rows asks for it."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker

TABLES = "tables_written"


class Changes:
    """Counts the transactions that have written to a table, after their commit.

    What the database does by itself (a cascade) is counted for the table that was written to.
    """

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._counts: Counter[str] = Counter()
        event.listen(sessions, "after_flush", note_rows)
        event.listen(sessions, "do_orm_execute", note_statement)

    def committed(self, session: Session) -> None:
        """Count what a session wrote; to be called after its commit."""
        self._counts.update(session.info.pop(TABLES, ()))

    def state_of(self, tables: Iterable[str]) -> tuple[int, ...]:
        """Return what is another after each write to one of the tables."""
        return tuple(self._counts[table] for table in tables)


def note_rows(session: Session, *_: Any) -> None:
    for row in (*session.new, *session.dirty, *session.deleted):
        noted(session).add(row.__tablename__)


def note_statement(statement: ORMExecuteState) -> None:
    if statement.is_insert or statement.is_update or statement.is_delete:
        noted(statement.session).add(statement.statement.table.name)  # type: ignore[attr-defined]


def noted(session: Session) -> set[str]:
    tables: set[str] = session.info.setdefault(TABLES, set())
    return tables
