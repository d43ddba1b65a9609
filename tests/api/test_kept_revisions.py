"""Revisions of masks against SQL that means to change them: they only go with their slide."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.conftest import Service
from tests.support.learning import add_slide, annotate_some

ANYWHERE = [
    "UPDATE annotations SET mask_sha256 = 'another'",
    "UPDATE annotations SET author_id = (SELECT max(id) FROM users)",
    "UPDATE annotations SET created_at = (SELECT min(created_at) FROM users)",
    "DELETE FROM annotations",
    "DELETE FROM patches",
]
SQLITE = [
    "REPLACE INTO annotations SELECT * FROM annotations",
    "UPDATE OR REPLACE annotations SET revision = 1",
    "REPLACE INTO patches SELECT * FROM patches",
    'UPDATE OR REPLACE patches SET "column" = 0, "row" = 0',
]
POSTGRESQL = ["TRUNCATE annotations CASCADE", "TRUNCATE patches CASCADE", "TRUNCATE slides CASCADE"]


def test_no_statement_changes_a_revision(service: Service) -> None:
    slide_id = add_slide(service.database, service.settings, 1)
    annotate_some(service.database, service.settings, slide_id, 1, 2, 0)

    def rows() -> list[object]:
        with service.database.engine.connect() as connection:
            return list(connection.execute(text("SELECT * FROM annotations ORDER BY id")).all())

    before = rows()
    assert len(before) == 2
    sqlite = service.database.engine.dialect.name == "sqlite"
    for statement in [*ANYWHERE, *(SQLITE if sqlite else POSTGRESQL)]:
        with (
            pytest.raises(IntegrityError, match="a revision of a mask never changes"),
            service.database.writing() as session,
        ):
            session.execute(text(statement))
        assert rows() == before, statement
    service.client.delete(f"/slides/{slide_id}").raise_for_status()
    assert rows() == []
