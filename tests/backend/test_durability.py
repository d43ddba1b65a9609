"""What the database promises: a commit that was answered is on the disk, the trail only grows."""

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from backend.kit.db.session import Database
from backend.people.audit import service as audit
from backend.people.audit.tables import AuditEntry
from backend.settings import Settings


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_every_connection_brings_commits_to_the_disk(database: Database) -> None:
    with database.writing() as one, database.reading() as other:
        for session in (one, other):
            assert session.execute(text("PRAGMA synchronous")).scalar() == 2, "FULL"
            assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"


def entries(database: Database) -> list[str]:
    with database.reading() as session:
        return [entry.action for entry in session.query(AuditEntry).order_by(AuditEntry.id)]


def test_plain_sql_neither_changes_nor_deletes_the_audit_trail(
    database: Database, settings: Settings
) -> None:
    with database.writing() as session:
        audit.record(session, None, "first", "slide", "1")
    statements = [
        update(AuditEntry).values(action="another"),
        delete(AuditEntry),
        text("DELETE FROM audit_entries WHERE action = 'first'"),
    ]
    if settings.sqlalchemy_url.startswith("sqlite"):
        statements.append(text("REPLACE INTO audit_entries SELECT * FROM audit_entries"))
    else:
        statements += [text("TRUNCATE audit_entries"), text("TRUNCATE users CASCADE")]
    for statement in statements:
        with (
            pytest.raises(DBAPIError, match="the audit trail only grows"),
            database.writing() as session,
        ):
            session.execute(statement)
    with database.writing() as session:
        audit.record(session, None, "second", "slide", "1")
    assert entries(database) == ["first", "second"]
