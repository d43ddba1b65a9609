"""Reading the audit trail; nothing here writes it."""

from fastapi import APIRouter
from sqlalchemy import select

from backend.kit.dependencies import ReadSession
from backend.kit.paging import Page, Paged
from backend.people.audit.schemas import Entry
from backend.people.audit.tables import AuditEntry
from backend.people.users.guards import Admin

router = APIRouter(tags=["audit"])


@router.get("/audit")
def trail(
    session: ReadSession,
    _: Admin,
    page: Paged,
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
    return page.newest(session, statement, AuditEntry.id, Entry.model_validate)
