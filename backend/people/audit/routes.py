"""Reading the audit trail; nothing here writes it."""

from fastapi import APIRouter
from sqlalchemy import select

from backend.kit.dependencies import ReadSession
from backend.kit.paging import (
    Cursor,
    Limit,
    Page,
    paginate,
)
from backend.people.audit.schemas import Entry
from backend.people.audit.tables import AuditEntry
from backend.people.users.guards import Admin

router = APIRouter(tags=["audit"])


@router.get("/audit")
def trail(
    session: ReadSession,
    _: Admin,
    limit: Limit = 100,
    cursor: Cursor = None,
    subject_id: str | None = None,
    user_id: str | None = None,
    action: str | None = None,
) -> Page[Entry]:
    """Newest first."""
    statement = select(AuditEntry)
    for column, wanted in (
        (AuditEntry.subject_id, subject_id),
        (AuditEntry.user_id, user_id),
        (AuditEntry.action, action),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    rows, more = paginate(
        session, statement, AuditEntry.id, limit=limit, cursor=cursor, newest_first=True
    )
    return Page(items=[Entry.model_validate(row) for row in rows], next_cursor=more)
