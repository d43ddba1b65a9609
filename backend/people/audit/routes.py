"""Reading the audit trail; nothing here writes it."""

from fastapi import APIRouter
from sqlalchemy import select

from backend.kit.dependencies import ReadSession
from backend.kit.errors import NotFound
from backend.kit.paging import Page, Paged
from backend.people.audit import verification
from backend.people.audit.schemas import Entry
from backend.people.audit.tables import AuditEntry
from backend.people.audit.verification import Head
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


@router.get("/audit/head")
def head(session: ReadSession, _: Admin) -> Head:
    """Return the signed end of the trail: kept elsewhere, it proves later what was there.

    `membrana audit verify --head FILE` takes it.
    """
    ending = verification.head_of(session)
    if ending is None:
        raise NotFound("The row that says where the trail ends is gone.", code="audit_head_gone")
    return ending
