"""Is the trail whole? Every entry is read again, and its end is held against the signature."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import ColumnElement, select, true
from sqlalchemy.orm import Session

from backend.kit import signing_key
from backend.people.audit import chain
from backend.people.audit.tables import AuditEntry, AuditHead

AT_ONCE = 2000
MOST_FINDINGS = 100


class Head(BaseModel, extra="forbid"):
    """The end of the trail as it is handed out, to be kept where nobody here can change it."""

    schema_name: str = Field(chain.HEAD_SCHEMA, alias="schema")
    number: int
    sha256: str
    at: AwareDatetime | None
    key: str | None
    signature: str | None


def head_of(session: Session) -> Head | None:
    """Return the signed end of the trail; None if its row is gone."""
    row = session.scalar(select(AuditHead))
    return row and Head(
        schema=chain.HEAD_SCHEMA,
        number=row.number,
        sha256=row.sha256,
        at=row.at,
        key=row.key_name,
        signature=row.signature,
    )


@dataclass
class Verified:
    """What was read, and everything that is wrong with it, in plain words."""

    entries: int = 0
    last_sha256: str = chain.BEFORE_THE_FIRST
    findings: list[str] = field(default_factory=list)
    more: int = 0

    def complain(self, sentence: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(sentence)
        else:
            self.more += 1


def verify(session: Session, keys: Mapping[str, bytes], copy: Head | None = None) -> Verified:
    """Read the whole trail in one snapshot.

    keys: public keys that are trusted, by name. copy: a head that was kept elsewhere.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    head = head_of(session)
    verified = Verified()
    last_number = read_entries(session, verified, copy)
    if head is None:
        verified.complain("The row that says where the trail ends is gone.")
    else:
        check_signature(verified, head, keys, "The end of the trail")
        check_end(verified, head, last_number)
    if copy is not None:
        check_signature(verified, copy, keys, "The copy of the head")
        if copy.number > last_number:
            verified.complain(
                f"The trail ends at entry {last_number}, and when the copy was taken it went on to "
                f"entry {copy.number}: {told(last_number + 1, copy.number)} removed since."
            )
    return verified


def read_entries(session: Session, verified: Verified, copy: Head | None) -> int:
    """Check each entry against itself and the one before; return the last number."""
    expected = 1
    for entry in entries(session):
        number = entry["number"]
        if not isinstance(number, int):
            verified.complain(f"An entry has “{number}” in place of its number.")
            continue
        if number > expected:
            verified.complain(f"{told(expected, number - 1).capitalize()} removed.")
        if "sha256" not in entry:
            verified.complain(f"Entry {number} was altered: it can't be read any more.")
            verified.entries, verified.last_sha256, expected = verified.entries + 1, "", number + 1
            continue
        if number <= expected and entry["previous_sha256"] != verified.last_sha256:
            verified.complain(
                f"Entry {number} does not follow the entry before it: one of them was replaced, "
                "or they were put in another order."
            )
        if chain.sha256_of(entry) != entry["sha256"]:
            verified.complain(
                f"Entry {number} ({entry['action']}, {chain.written(entry['created_at'])}) was "
                "altered: it is not what its hash was made of."
            )
        if entry["action"] == chain.BROKEN:
            verified.complain(
                f"Before entry {number} the end of the trail had been changed, not by this service "
                f"(noticed {chain.written(entry['created_at'])})."
            )
        if copy is not None and number == copy.number and entry["sha256"] != copy.sha256:
            verified.complain(
                f"Entry {number} is not the one that the copy of the head was taken of: the trail "
                "was written anew since."
            )
        verified.entries += 1
        verified.last_sha256 = entry["sha256"]
        expected = number + 1
    return expected - 1


def entries(session: Session) -> Iterator[Mapping[str, Any]]:
    """Yield every entry, in the order of its number; of one that can't be read, its number."""
    after: int | None = None
    while True:
        page = (AuditEntry.number > after) if after is not None else true()
        numbers = select(AuditEntry.number).where(page).order_by(AuditEntry.number).limit(AT_ONCE)
        try:
            rows: Sequence[Mapping[str, Any]] = read(session, page)
        except (ValueError, TypeError):
            rows = [one(session, each) for each in session.scalars(numbers).all()]
        yield from rows
        if len(rows) < AT_ONCE:
            return
        after = rows[-1]["number"]


def read(session: Session, page: ColumnElement[bool]) -> Sequence[Mapping[str, Any]]:
    asked = select(*AuditEntry.__table__.columns).where(page).order_by(AuditEntry.number)
    rows = session.execute(asked.limit(AT_ONCE)).mappings().all()
    return cast("Sequence[Mapping[str, Any]]", rows)


def one(session: Session, number: Any) -> Mapping[str, Any]:
    try:
        return read(session, AuditEntry.number == number)[0]
    except (ValueError, TypeError):
        return {"number": number}


def check_end(verified: Verified, head: Head, last_number: int) -> None:
    if last_number < head.number:
        verified.complain(
            f"The trail ends at entry {last_number}, its signed end is entry {head.number}: "
            f"{told(last_number + 1, head.number)} removed from its end."
        )
    elif last_number > head.number:
        verified.complain(
            f"{told(head.number + 1, last_number).capitalize()} added behind the signed end of "
            "the trail, not by this service."
        )
    elif head.sha256 != verified.last_sha256:
        verified.complain(
            f"Entry {last_number} is not the one that was signed as the end of the trail: the "
            "trail was written anew."
        )


def check_signature(verified: Verified, head: Head, keys: Mapping[str, bytes], what: str) -> None:
    if head.key is None or head.signature is None or head.at is None:
        verified.complain(f"{what} is not signed.")
    elif head.key not in keys:
        verified.complain(
            f"{what} is signed with the key {head.key}, which is not among those trusted here: "
            f"{', '.join(sorted(keys)) or 'there is none'}."
        )
    elif not signing_key.is_signed(
        keys[head.key], chain.statement(head.number, head.sha256, head.at), head.signature
    ):
        verified.complain(f"{what} carries a signature that is not of this trail: it was forged.")


def told(first: int, last: int) -> str:
    return f"entry {first} was" if first == last else f"entries {first} to {last} were"
