"""The trail convinces: whatever is done to its rows behind the service's back is told in words."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from backend.kit import signing_key
from backend.kit.db.session import Database
from backend.people.audit import chain, service, verification
from backend.people.audit.tables import AuditEntry
from backend.people.audit.verification import Head, Verified
from backend.people.users import service as users
from backend.people.users.tables import Role
from backend.settings import Settings
from backend.tables import Base

HELD = ("update", "delete", "insert")


@pytest.fixture
def trail(database: Database) -> Database:
    """A trail of ten entries, by ten transactions."""
    for number in range(1, 11):
        with database.writing() as session:
            service.record(session, None, "counted", "number", str(number), half=number / 2)
    return database


def forge(database: Database, *statements: str, **values: Any) -> None:
    """Do what somebody does who may write the database and has no key."""
    with database.engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "sqlite":
            for event in HELD:
                connection.execute(text(f"DROP TRIGGER IF EXISTS audit_entries_{event}"))
        else:
            connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        for statement in statements:
            connection.execute(text(statement), values)


def verified(database: Database, settings: Settings, copy: Head | None = None) -> Verified:
    with database.reading() as session:
        return verification.verify(session, signing_key.trusted(settings.signing_key_file), copy)


def head(database: Database) -> Head:
    with database.reading() as session:
        return verification.head_of(session)


def test_an_untouched_trail_is_whole(trail: Database, settings: Settings) -> None:
    told = verified(trail, settings)
    assert (told.entries, told.findings) == (10, [])
    assert head(trail).number == 10


CHANGES = (
    ("UPDATE audit_entries SET action = 'saw' WHERE number = 4", "Entry 4 (saw"),
    ("UPDATE audit_entries SET details = '{}' WHERE number = 4", "Entry 4 (counted"),
    ("UPDATE audit_entries SET subject_id = '5' WHERE number = 4", "Entry 4 (counted"),
    (
        "UPDATE audit_entries SET created_at = '2026-01-01 00:00:00.000000' WHERE number = 4",
        "Entry 4 (counted",
    ),
    ("DELETE FROM audit_entries WHERE number = 4", "Entry 4 was removed."),
    ("DELETE FROM audit_entries WHERE number < 4", "Entries 1 to 3 were removed."),
    ("DELETE FROM audit_entries WHERE number > 8", "entries 9 to 10 were removed from its end"),
    ("DELETE FROM audit_entries", "entries 1 to 10 were removed from its end"),
    ("DELETE FROM audit_head", "The row that says where the trail ends is gone."),
    ("UPDATE audit_head SET key_name = NULL", "The end of the trail is not signed."),
    ("UPDATE audit_head SET key_name = 'another'", "not among those trusted here"),
    ("UPDATE audit_head SET signature = 'nonsense'", "it was forged"),
)


def test_whatever_is_changed_is_told(trail: Database, settings: Settings) -> None:
    whole = {name: rows_of(trail, name) for name in ("audit_entries", "audit_head")}
    for statement, words in CHANGES:
        forge(trail, statement)
        findings = verified(trail, settings).findings
        assert any(words in each for each in findings), (statement, findings)
        for name, rows in whole.items():
            forge(trail, f"DELETE FROM {name}")
            with trail.engine.execution_options(writes=True).begin() as connection:
                connection.execute(Base.metadata.tables[name].insert(), rows)
    assert verified(trail, settings).findings == []


def rows_of(database: Database, name: str) -> list[dict[str, Any]]:
    with database.engine.connect() as connection:
        rows = connection.execute(Base.metadata.tables[name].select()).mappings()
        return [dict(each) for each in rows]


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET details = 'nothing' WHERE number = 4",
        "UPDATE audit_entries SET created_at = 'yesterday' WHERE number = 4",
    ],
)
def test_an_entry_that_cannot_be_read_is_told(
    trail: Database, settings: Settings, statement: str
) -> None:
    """SQLite takes anything in any column."""
    forge(trail, statement)
    told = verified(trail, settings)
    assert "Entry 4 was altered: it can't be read any more." in told.findings
    assert told.entries == 10


def test_two_entries_in_another_order_are_told(trail: Database, settings: Settings) -> None:
    forge(
        trail,
        "UPDATE audit_entries SET number = 100 WHERE number = 4",
        "UPDATE audit_entries SET number = 4 WHERE number = 5",
        "UPDATE audit_entries SET number = 5 WHERE number = 100",
    )
    findings = " ".join(verified(trail, settings).findings)
    assert "Entry 4 does not follow the entry before it" in findings
    assert "Entry 5 (counted" in findings


def written_anew(database: Database, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Rewrite the trail so that it holds together, the end included: all but the signature."""
    with database.reading() as session:
        rows = [dict(each) for each in verification.entries(session)]
    change(rows)
    last = chain.BEFORE_THE_FIRST
    for number, row in enumerate(rows, 1):
        row |= {"number": number, "previous_sha256": last}
        last = row["sha256"] = chain.sha256_of(row)
    forge(database, "DELETE FROM audit_entries")
    with database.engine.execution_options(writes=True).begin() as connection:
        connection.execute(AuditEntry.__table__.insert(), rows)
        values = {"number": len(rows), "sha256": last}
        connection.execute(text("UPDATE audit_head SET number = :number, sha256 = :sha256"), values)


def test_a_trail_written_anew_lacks_the_signature(trail: Database, settings: Settings) -> None:
    written_anew(trail, lambda rows: rows.pop(3))
    assert verified(trail, settings).findings == [
        "The end of the trail carries a signature that is not of this trail: it was forged."
    ]


ENDS = (
    "UPDATE audit_head SET key_name = NULL, signature = NULL",
    "UPDATE audit_head SET number = 4",
    "UPDATE audit_head SET number = 40",
    "DELETE FROM audit_head",
    "DELETE FROM audit_entries WHERE number = (SELECT max(number) FROM audit_entries)",
)


def test_an_end_that_was_changed_is_never_signed_over(trail: Database, settings: Settings) -> None:
    """What the service writes next would make a forged trail its own."""

    def goes_on() -> Verified:
        with trail.writing() as session:
            service.record(session, None, "went on", "number", "1")
        return verified(trail, settings)

    assert goes_on().findings == []
    written_anew(trail, lambda rows: rows.pop(3))
    [told] = goes_on().findings
    assert told.startswith("Before entry 11 the end of the trail had been changed")
    for number, statement in enumerate(ENDS, 2):
        forge(trail, statement)
        findings = goes_on().findings
        assert len(findings) == number, (statement, findings)
        # and it stays told, whatever is written later
        assert goes_on().findings == findings


def test_an_old_end_brought_back_is_told_by_a_copy(trail: Database, settings: Settings) -> None:
    """Whoever has an old backup has an old signature; only what was kept elsewhere tells."""
    old = head(trail)
    with trail.writing() as session:
        service.record(session, None, "signed", "report", "1")
    copy = head(trail)
    assert verified(trail, settings, copy).findings == []
    forge(
        trail,
        "DELETE FROM audit_entries WHERE number > 10",
        "UPDATE audit_head SET number = :number, sha256 = :sha256, at = :at, "
        "signature = :signature",
        number=old.number,
        sha256=old.sha256,
        at=old.at.replace(tzinfo=None) if trail.engine.dialect.name == "sqlite" else old.at,
        signature=old.signature,
    )
    assert verified(trail, settings).findings == []
    assert verified(trail, settings, copy).findings == [
        (
            "The trail ends at entry 10, and when the copy was taken it went on to entry 11: "
            "entry 11 was removed since."
        )
    ]
    with trail.writing() as session:
        service.record(session, None, "another", "report", "1")
    assert verified(trail, settings).findings == []
    [told] = verified(trail, settings, copy).findings
    assert told.startswith("Entry 11 is not the one that the copy of the head was taken of")


def test_entries_of_writers_at_once_are_one_chain(database: Database, settings: Settings) -> None:
    with database.writing() as session:
        people = [
            users.create_user(session, name=f"p{number}", role=Role.VIEWER) for number in range(4)
        ]

    def work(number: int) -> None:
        for turn in range(8):
            with database.writing() as session:
                # each holds another's row and waits for the trail: none may stop one who is the
                # other way round
                held = users.get_user(session, people[(number + turn) % 4].id, held=True)
                service.record(session, people[number], "turned", "user", held.id, turn=turn)

    with ThreadPoolExecutor(4) as crowd:
        list(crowd.map(work, range(4)))
    told = verified(database, settings)
    assert (told.entries, told.findings) == (32, [])


def test_what_is_rolled_back_leaves_no_gap(trail: Database, settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError), trail.writing() as session:
        service.record(session, None, "tried", "number", "11")
        raise ZeroDivisionError
    with trail.writing() as session:
        service.record(session, None, "done", "number", "11")
    told = verified(trail, settings)
    assert (told.entries, told.findings) == (11, [])


def test_the_key_is_private_and_lies_outside_the_data_folder(
    trail: Database, settings: Settings
) -> None:
    key = settings.signing_key_file
    assert not key.is_relative_to(settings.data)
    assert (key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_without_its_key_nothing_is_written_and_no_other_takes_its_place(
    trail: Database, settings: Settings, tmp_path: Path
) -> None:
    key = settings.signing_key_file
    key.rename(tmp_path / "elsewhere")
    for _ in range(2):
        with (
            pytest.raises(signing_key.SigningKeyMissing, match="can't be read"),
            trail.writing() as session,
        ):
            service.record(session, None, "done", "number", "11")
        with pytest.raises(signing_key.SigningKeyMissing):
            service.require_key_at_start(trail)
    signing_key.trusted_list(key).unlink()
    signing_key.create(key)
    with (
        pytest.raises(signing_key.SigningKeyMissing, match="renew-key"),
        trail.writing() as session,
    ):
        service.record(session, None, "done", "number", "11")
    assert json.loads(head(trail).model_dump_json(by_alias=True))["number"] == 10
