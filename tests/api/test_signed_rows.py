"""Signed rows against SQL that means to change them: every way round the guards is shut."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.conftest import Service
from tests.support.scoring import REPORT, computed, pathologist, sign, slide_with_tumour

SAID = {"edits": [{"cell": 0, "action": "exclude"}], "reason": "a lymphocyte"}
ANYWHERE = [
    "UPDATE reports SET frozen_edits = '[]' WHERE id = :signed",
    "UPDATE reports SET frozen_edits = NULL WHERE id = :signed",
    "UPDATE reports SET id = :signed WHERE id = :draft",
    "DELETE FROM reports WHERE id = :signed",
]
OF_SIGNED = "(SELECT {} FROM reports WHERE id = :signed)"
SQLITE = [
    "UPDATE OR REPLACE reports SET id = :signed WHERE id = :draft",
    *(
        f"UPDATE OR REPLACE reports SET {name} = {OF_SIGNED.format(name)} WHERE id = :draft"
        for name in ("id", "rowid")
    ),
    "REPLACE INTO slides SELECT * FROM slides",
    "DELETE FROM slides",
]
POSTGRESQL = [
    "TRUNCATE reports CASCADE",
    "TRUNCATE slides CASCADE",
    "DELETE FROM slides",
]


def replacing(columns: list[str], **other: str) -> str:
    """Write a signed row once more with other values in some columns."""
    values = ", ".join(other.get(name, f'"{name}"') for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    return f"REPLACE INTO reports ({names}) SELECT {values} FROM reports WHERE id = :signed"


def test_no_statement_changes_what_is_signed(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    signed, draft = computed(service, slide_id), computed(service, slide_id)
    for report_id in (signed, draft):
        service.client.post(f"/reports/{report_id}/cells", json=SAID).raise_for_status()
    service.run_jobs(REPORT)
    assert sign(pathologist(service), signed).status_code == 200
    engine = service.database.engine.dialect.name

    def rows() -> list[object]:
        with service.database.engine.connect() as connection:
            return list(connection.execute(text("SELECT * FROM reports ORDER BY id")).all())

    before = rows()
    statements = [*ANYWHERE, *(SQLITE if engine == "sqlite" else POSTGRESQL)]
    with service.database.engine.connect() as connection:
        columns = list(connection.execute(text("SELECT * FROM reports")).keys())
    if engine == "sqlite":
        statements += [
            replacing(columns, signed_comment="'another'"),
            replacing(columns, frozen_edits="'[]'"),
            replacing(["rowid", *columns], id="'new'"),
        ]
    for statement in statements:
        values = {"signed": signed, "draft": draft}
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        with pytest.raises(IntegrityError), service.database.writing() as session:
            session.execute(text(statement), used)
        assert rows() == before, statement


def test_a_draft_can_still_be_thrown_away_with_its_slide(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    report_id = computed(service, slide_id)
    service.client.post(f"/reports/{report_id}/cells", json=SAID).raise_for_status()
    service.run_jobs(REPORT)
    assert service.client.delete(f"/slides/{slide_id}").status_code == 204
    assert service.client.get(f"/reports/{report_id}").status_code == 404
