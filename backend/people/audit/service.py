"""The append-only trail: who did what to what, in the transaction that did it."""

from typing import Any

from sqlalchemy.orm import Session

from backend.people.audit.tables import AuditEntry
from backend.people.users.tables import User


def record(
    session: Session,
    user: User | None,
    action: str,
    subject_type: str,
    subject_id: str,
    **details: Any,
) -> None:
    """Add an entry; `details` hold no pixel, no password, no file name."""
    session.add(
        AuditEntry(
            user_id=user and user.id,
            action=action,
            subject_type=subject_type,
            subject_id=subject_id,
            details=details,
        )
    )
