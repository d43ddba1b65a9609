"""Who saved what, told at once to everybody who has the patch open, however it was saved."""

from typing import Any

from sqlalchemy.orm import Session

from backend.kit.events.service import announce
from backend.learning.annotations.tables import Annotation
from backend.people.users.tables import User
from backend.slides.patches.service import Holder
from backend.slides.patches.tables import Patch

TOPIC = "annotation"


def announce_revision(
    session: Session, patch: Patch, annotation: Annotation, taken_from: Holder | None
) -> None:
    """Announce a new revision; `taken_from` had the patch in hand when somebody else saved it."""
    revision = {
        "slide_id": patch.slide_id,
        "revision": annotation.revision,
        "author": named(annotation.author),
        "source": str(annotation.source),
        "restores": annotation.restores,
        "taken_from": taken_from and named(taken_from),
    }
    announce(session, TOPIC, patch.id, revision)


def named(user: User | Holder) -> dict[str, str]:
    return {"id": user.id, "username": user.name}


def audit_details(annotation: Annotation, taken_from: Holder | None) -> dict[str, Any]:
    """Return what the audit trail adds of a revision, where there is something to add."""
    details = {"restores": annotation.restores, "taken_from": taken_from and taken_from.id}
    return {name: value for name, value in details.items() if value is not None}
