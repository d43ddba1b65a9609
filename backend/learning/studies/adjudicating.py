"""Adjudication: a third person decides what a patch's mask is; it can be taken back."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.kit.db.base import now
from backend.kit.db.session import Database
from backend.kit.errors import Conflict, Forbidden, NotFound
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations import masks, restoring
from backend.learning.annotations import service as annotations
from backend.learning.annotations.masks import Mask
from backend.learning.annotations.service import Draft
from backend.learning.annotations.tables import Annotation, Source
from backend.learning.studies import service
from backend.learning.studies.service import StudyOpen
from backend.learning.studies.tables import Adjudication, StudyState
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.patches import service as patches
from backend.slides.patches.tables import Patch


class OwnReading(Forbidden):
    code, title = "own_reading", "Somebody else has to decide this"


class Adjudicated(Conflict):
    code = "adjudicated"


class NoAdjudication(NotFound):
    code = "no_adjudication"


class AdjudicationPast(Conflict):
    code = "annotated_since"


@dataclass(frozen=True)
class Wish:
    """A reader's mask is taken, or `mask` is drawn: one of the two.

    base_revision: of the patch, which its maker has seen.
    """

    study_id: str
    reader_id: str | None
    mask: Mask | None
    comment: str
    base_revision: int


def standing(session: Session, patch_id: str) -> Adjudication | None:
    return session.scalar(
        select(Adjudication).where(
            Adjudication.patch_id == patch_id, Adjudication.undone_at.is_(None)
        )
    )


def require_third(session: Session, study_id: str, user: User) -> None:
    """Raise OwnReading for a reader: who could take a decision back would have decided, too."""
    if user.id in service.readers_of(session, study_id):
        raise OwnReading("You have read in this study; a third person decides.")


def require_undecided(session: Session, patch_id: str) -> None:
    if standing(session, patch_id) is not None:
        raise Adjudicated("This patch is decided already; take that back first.")


def require_seen(session: Session, patch: Patch, base_revision: int) -> None:
    """Raise AnnotationStale if the patch is at another revision than the one that was seen.

    A save may be sent twice; who decides by the same mask as their last save has seen another one.
    """
    if patch.revision != base_revision:
        raise annotations.stale(session, patch)


def held(session: Session, patch_id: str) -> Patch:
    """Return a patch as it is now, held against other writers until the transaction ends."""
    patches.hold(session, [patch_id])
    return patches.get(session, patch_id)


def adjudicate(
    database: Database, blobs: Blobs, settings: Settings, patch_id: str, wish: Wish, *, by: User
) -> tuple[Adjudication, Annotation]:
    """Make the decided mask the patch's next annotation, by the rules of a save."""
    with database.reading() as session:
        patch = patches.get(session, patch_id)
        study = service.get(session, wish.study_id)
        service.require_in(session, study, patch_id)
        if study.state != StudyState.CLOSED:
            raise StudyOpen("Nobody decides while the readers read: close the study first.")
        require_third(session, study.id, by)
        require_undecided(session, patch_id)
        require_seen(session, patch, wish.base_revision)
        sha256 = wish.reader_id and (
            service.reading_of(session, study.id, patch_id, wish.reader_id, by).mask_sha256
        )
    mask = masks.decode(blobs.read(sha256)) if sha256 else wish.mask
    assert mask is not None
    draft = Draft(mask, wish.base_revision, Source.EDITED, None)
    with database.reading() as session:
        prepared = annotations.prepare(session, blobs, settings, patch_id, draft)
    with database.writing() as session:
        # again, and now nobody else writes: a second click may have been faster
        patch = held(session, patch_id)
        require_undecided(session, patch_id)
        require_seen(session, patch, wish.base_revision)
        written = annotations.submit(session, settings, patch_id, prepared, by=by)
        row = Adjudication(
            study_id=wish.study_id,
            patch_id=patch_id,
            made_by=by.id,
            reader_id=wish.reader_id,
            comment=wish.comment,
            base_revision=wish.base_revision,
            annotation_id=written.annotation.id,
        )
        session.add(row)
        session.flush()
        audit.record(
            session,
            by,
            "adjudication.made",
            "patch",
            patch_id,
            study_id=wish.study_id,
            revision=written.annotation.revision,
            reader_id=wish.reader_id,
        )
    return row, written.annotation


def undo(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    patch_id: str,
    base_revision: int,
    *,
    by: User,
) -> tuple[Adjudication, Annotation]:
    """Bring back what was before: the mask of then, or one in which nobody has looked anywhere.

    Raise AdjudicationPast if the patch was annotated since: that is not thrown away.
    """
    with database.reading() as session:
        patch = patches.get(session, patch_id)
        row = standing(session, patch_id)
        if row is None:
            raise NoAdjudication("Nobody has decided on this patch, or it was taken back.")
        require_third(session, row.study_id, by)
        require_seen(session, patch, base_revision)
        present = annotations.newest_of(session, patch_id)
        if present.id != row.annotation_id:
            raise AdjudicationPast(
                f"The patch is at revision {patch.revision} now, after the decision. Bring an "
                "earlier revision back instead."
            )
    if row.base_revision:
        draft = restoring.draft_of(
            database, blobs, patch_id, row.base_revision, base_revision, None
        )
    else:
        draft = Draft(masks.nothing_seen(), base_revision, Source.SCRATCH, None)
    with database.reading() as session:
        prepared = annotations.prepare(session, blobs, settings, patch_id, draft)
    with database.writing() as session:
        patch = held(session, patch_id)
        undone = standing(session, patch_id)
        if undone is None or undone.id != row.id:
            raise AdjudicationPast("Somebody took this decision back in this moment.")
        require_seen(session, patch, base_revision)
        written = annotations.submit(session, settings, patch_id, prepared, by=by)
        undone.undone_at, undone.undone_by = now(), by.id
        session.flush()
        audit.record(
            session,
            by,
            "adjudication.undone",
            "patch",
            patch_id,
            study_id=row.study_id,
            revision=written.annotation.revision,
        )
    return undone, written.annotation
