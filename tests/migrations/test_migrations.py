"""The migrations make exactly the tables that the code describes, on both engines."""

import re

import pytest
from alembic import command
from sqlalchemy import CheckConstraint, inspect, text
from sqlalchemy.exc import IntegrityError

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job
from backend.kit import signing_key
from backend.kit.db.base import Base, now
from backend.kit.db.migrate import config
from backend.kit.db.session import Database
from backend.learning.rounds.tables import Round
from backend.people.audit import service as audit
from backend.people.audit import verification
from tests.conftest import Service
from tests.support import before_keys
from tests.support.learning import add_slide, annotate_some


def test_migrated_tables_are_the_described_ones(database: Database, every_table: list[str]) -> None:
    command.check(config())
    assert set(every_table) <= set(inspect(database.engine).get_table_names())


def test_downgrade_removes_everything(database: Database, every_table: list[str]) -> None:
    command.downgrade(config(), "base")
    assert not set(every_table) & set(inspect(database.engine).get_table_names())
    command.upgrade(config(), "head")


def quoted(condition: str) -> set[str]:
    """Return the words that a condition names, however an engine writes it down."""
    return set(re.findall(r"'[^']+'", condition))


def test_every_check_of_the_code_is_in_the_database(database: Database) -> None:
    inspector = inspect(database.engine)
    for table in Base.metadata.sorted_tables:
        described = sorted(
            (str(check.name), quoted(str(check.sqltext)))
            for check in table.constraints
            if isinstance(check, CheckConstraint)
        )
        found = sorted(
            (str(check["name"]), quoted(check["sqltext"]))
            for check in inspector.get_check_constraints(table.name)
        )
        assert found == described, table.name


def test_rows_that_point_at_a_changed_table_stay(service: Service) -> None:
    """0003 changes a CHECK of jobs, which on SQLite is a copy of the whole table."""
    slide_id = add_slide(service.database, service.settings, 1)
    annotate_some(service.database, service.settings, slide_id, 1, 2, 1)
    started = service.client.post("/rounds").raise_for_status().json()
    command.downgrade(config(), "0002")
    with service.database.engine.connect() as connection:
        kept = connection.execute(text("SELECT job_id FROM rounds")).scalars().all()
    assert kept == [started["job"]["id"]]
    command.upgrade(config(), "head")
    with service.database.reading() as session:
        row = session.get_one(Round, started["round"]["id"])
        job = jobs.get(session, row.job_id or "")
        assert (job.kind, job.subject) == (JobKind.TRAIN, row.id)
    with service.database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    # the index that allows one active job a subject has been copied too
    with pytest.raises(IntegrityError), service.database.writing() as session:
        session.add(Job(kind=JobKind.TRAIN, subject=row.id, max_attempts=1, rung_at=now()))
    with pytest.raises(IntegrityError), service.database.writing() as session:
        session.execute(text("UPDATE jobs SET kind = 'dance'"))


def test_a_changed_table_of_rounds_still_holds_one_live_round(service: Service) -> None:
    """SQLite copies the table for its new word, and loses indexes of expressions on the way."""
    slide_id = add_slide(service.database, service.settings, 1)
    annotate_some(service.database, service.settings, slide_id, 1, 2, 1)
    started = service.client.post("/rounds").raise_for_status().json()["round"]
    for revision in ("0011", "head"):
        move = command.downgrade if revision == "0011" else command.upgrade
        move(config(), revision)
        with service.database.engine.connect() as connection:
            count = text("SELECT count(*) FROM round_patches WHERE round_id = :id")
            assert connection.execute(count, {"id": started["id"]}).scalar() == 3
        with pytest.raises(IntegrityError), service.database.writing() as session:
            session.execute(
                text(
                    "INSERT INTO rounds (id, created_at, state, reason, parent_model_version_id, "
                    "config, metrics) SELECT 'another', created_at, 'training', '', "
                    "parent_model_version_id, config, metrics FROM rounds"
                )
            )


def test_masks_accepted_before_the_rule_are_known_as_accepted(service: Service) -> None:
    slide_id = add_slide(service.database, service.settings, 1)
    annotate_some(service.database, service.settings, slide_id, 1, 2, 0)
    command.downgrade(config(), "0011")
    with service.database.writing() as session:
        accepted, drawn = session.execute(text("SELECT id FROM annotations ORDER BY id")).scalars()
        model = session.execute(text("SELECT id FROM model_versions")).scalar_one()
        session.execute(
            text(
                "UPDATE annotations SET source = 'proposal', model_version_id = :model "
                "WHERE id = :id"
            ),
            {"model": model, "id": accepted},
        )
    command.upgrade(config(), "head")
    with service.database.reading() as session:
        rows = session.execute(text("SELECT * FROM annotation_proposals")).all()
    assert rows == [(accepted, model, 0, 0)]
    assert drawn != accepted


def test_entries_of_before_are_chained_as_they_are_found(service: Service) -> None:
    for name in ("anna", "ben"):
        new = {"username": name, "role": "viewer", "password": "a long enough password"}
        service.client.post("/users", json=new).raise_for_status()

    def entries() -> list[object]:
        with service.database.reading() as session:
            asked = text("SELECT id, action, details FROM audit_entries ORDER BY id")
            return list(session.execute(asked).all())

    before_keys.downgrade(service, "0023")
    before = entries()
    assert len(before) == 2
    with pytest.raises(IntegrityError), service.database.writing() as session:
        session.execute(text("DELETE FROM audit_entries"))
    command.upgrade(config(), "head")
    assert entries() == before
    with service.database.writing() as session:
        audit.sign_first(session)
    keys = signing_key.trusted(service.settings.signing_key_file)
    with service.database.reading() as session:
        verified = verification.verify(session, keys)
    assert (verified.entries, verified.findings) == (2, [])
