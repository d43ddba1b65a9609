"""The append-only trail: who did what to what, in the transaction that did it.

Entries are numbered and chained as the last act of their transaction, so their order is that of
the commits, and the one lock that all writers share is held no longer than a commit takes.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import insert, inspect, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from backend.kit import signing_key
from backend.kit.db import outbox
from backend.kit.db.base import new_id, now
from backend.kit.db.session import Database
from backend.kit.signing_key import SigningKey, SigningKeyMissing
from backend.people.audit import chain
from backend.people.audit.tables import AuditEntry, AuditHead
from backend.people.users.tables import User
from backend.settings import get_settings

log = logging.getLogger(__name__)
WAITING, RENEWED = "audit_entries", "audit_key_renewed"
SEEN_AGAIN = timedelta(minutes=10)
"""Who looks at the same thing again within this has looked at it once."""


def record(
    session: Session,
    user: User | None,
    action: str,
    subject_type: str,
    subject_id: str,
    **details: Any,
) -> None:
    """Add an entry; `details` hold no pixel, no password, no file name."""
    # rolled back to a savepoint, the deed would be gone and its entry not
    assert not session.in_nested_transaction()
    entry = entry_of(user, action, subject_type, subject_id, details)
    session.info.setdefault(WAITING, []).append(entry)
    outbox.before_commit(session, seal)


def entry_of(
    user: User | None, action: str, subject_type: str, subject_id: str, details: dict[str, Any]
) -> dict[str, Any]:
    """Return an entry that has no place in the chain yet."""
    return {
        "id": new_id(),
        "created_at": now(),
        "user_id": user and user.id,
        "action": action,
        "subject_type": subject_type,
        "subject_id": subject_id,
        "details": details,
    }


def record_view(
    database: Database, user: User, action: str, subject_type: str, subject_id: str, **details: Any
) -> None:
    """Note that somebody was shown something, once in a while; a transaction of its own."""
    with database.reading() as session:
        known = session.scalar(
            select(AuditEntry.id)
            .where(
                AuditEntry.subject_type == subject_type,
                AuditEntry.subject_id == subject_id,
                AuditEntry.user_id == user.id,
                AuditEntry.action == action,
                AuditEntry.created_at > now() - SEEN_AGAIN,
            )
            .limit(1)
        )
    if known is None:
        record_download(database, user, action, subject_type, subject_id, **details)


def record_download(
    database: Database, user: User, action: str, subject_type: str, subject_id: str, **details: Any
) -> None:
    """Note that somebody was handed a file; a transaction of its own."""
    with database.writing() as session:
        record(session, user, action, subject_type, subject_id, **details)


def seal(session: Session) -> None:
    """Number, chain and write what waits, and sign the new end of the trail.

    An end that was changed behind the service's back is not signed as if nothing were: an entry
    that says so, and stays, is written first.
    """
    waiting = session.info.pop(WAITING, [])
    session.flush()
    head = session.scalar(
        select(AuditHead).with_for_update().execution_options(populate_existing=True)
    )
    key = key_after(None if head is None else head.key_name)
    first_number, last = (head.number, head.sha256) if head else (0, chain.BEFORE_THE_FIRST)
    newest = session.execute(
        select(AuditEntry.number, AuditEntry.sha256).order_by(AuditEntry.number.desc()).limit(1)
    ).one_or_none()
    if not is_own(session, head) or (newest is not None and newest.number > first_number):
        changed = {"number": first_number, "sha256": last}
        first_number, last = newest or (0, chain.BEFORE_THE_FIRST)
        waiting.insert(0, entry_of(None, chain.BROKEN, "audit", "head", changed))
    number = first_number
    for number, entry in enumerate(waiting, first_number + 1):
        entry |= {"number": number, "previous_sha256": last}
        last = entry["sha256"] = chain.sha256_of(entry)
    if waiting:
        session.execute(insert(AuditEntry), waiting)
    at = now()
    head = head or AuditHead(id=1)
    head.number, head.sha256, head.at = number, last, at
    head.key_name, head.signature = key.name, key.sign(chain.statement(number, last, at))
    session.add(head)
    session.flush()
    # a second copy of where the trail ends: logs are often kept on another machine
    outbox.after_commit(session, partial(log.info, "audit trail: entry %d is %s", number, last))


def key_after(former: str | None) -> SigningKey:
    """Return the key to sign with. Raise SigningKeyMissing if it does not follow the former one.

    The first to sign makes it. Settings are read here: whoever records anything would have to hand
    the key down otherwise.
    """
    path = get_settings().signing_key_file
    if former is None and not path.exists():
        signing_key.create(path)
    key = signing_key.present(path)
    if former in {None, key.name} or former in signing_key.trusted(path):
        return key
    raise SigningKeyMissing(
        f"The audit trail was signed with the key {former}, and {path} holds {key.name}. Bring "
        "the former key back, or begin with this one by `membrana audit renew-key`."
    )


def is_own(session: Session, head: AuditHead | None) -> bool:
    """Say whether the end of the trail is as this service left it.

    Unsigned is what a migration has chained, before the key signs for the first time, and what
    `renew_key` has just taken the signature from.
    """
    path = get_settings().signing_key_file
    if head is None:
        return False
    if head.key_name is None:
        first = signing_key.begin(path)
        return bool(session.info.pop(RENEWED, False)) or first
    public = signing_key.trusted(path).get(head.key_name)
    return bool(
        public
        and head.at
        and head.signature
        and signing_key.is_signed(
            public, chain.statement(head.number, head.sha256, head.at), head.signature
        )
    )


def key_of(session: Session) -> SigningKey:
    """Return the installation's key: the one that signs the trail signs reports, too."""
    return key_after(session.scalar(select(AuditHead.key_name)))


def details_of(
    session: Session, action: str, subject_type: str, subject_id: str
) -> Sequence[dict[str, Any]]:
    """Return what the trail says of a deed done to something, oldest first."""
    return session.scalars(
        select(AuditEntry.details)
        .where(
            AuditEntry.subject_type == subject_type,
            AuditEntry.subject_id == subject_id,
            AuditEntry.action == action,
        )
        .order_by(AuditEntry.number)
    ).all()


def sign_first(session: Session) -> None:
    """Sign the trail if nothing has signed it yet: of a new installation, or of one upgraded."""
    if session.scalar(select(AuditHead.key_name)) is None:
        outbox.before_commit(session, seal)


def require_key_at_start(database: Database) -> None:
    """Refuse to start without the key, as every change would fail.

    A database that is empty or away has nothing to say.
    """
    try:
        if not inspect(database.engine).has_table(AuditHead.__tablename__):
            return
        with database.reading() as session:
            former = session.scalar(select(AuditHead.key_name))
    except OperationalError:
        return
    if former is not None:
        key_after(former)


def renew_key(session: Session) -> str | None:
    """Go on with the key that is there now, whatever signed before; return what that was called."""
    former = session.scalar(select(AuditHead.key_name).with_for_update())
    session.execute(update(AuditHead).values(key_name=None))
    session.info[RENEWED] = True
    record(session, None, "signing_key.renewed", "audit", "head", former=former)
    return former
