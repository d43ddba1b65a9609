"""Review: a second person approves an annotation, or returns it for correction."""

from sqlalchemy.orm import Session

from backend.kit.errors import Conflict, Forbidden
from backend.kit.facts import tell
from backend.learning.annotations import service as annotations
from backend.learning.review.facts import MaskReviewed
from backend.learning.review.tables import Review, Verdict
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.patches import service as patches
from backend.slides.patches.tables import PatchState

STATE_OF = {Verdict.APPROVED: PatchState.APPROVED, Verdict.RETURNED: PatchState.RETURNED}


class OwnAnnotation(Forbidden):
    code, title = "own_annotation", "Somebody else has to review this"


class NotReviewable(Conflict):
    code = "patch_state"


def review(
    session: Session,
    settings: Settings,
    patch_id: str,
    *,
    by: User,
    verdict: Verdict,
    comment: str,
    base_revision: int | None,
) -> Review:
    """Give a verdict on the newest annotation of a patch.

    `base_revision` is the one that the reviewer has seen, if they say so.
    """
    annotation = annotations.newest_of(session, patch_id)
    if annotation.author_id == by.id:
        raise OwnAnnotation("You drew this mask; a second person gives the verdict.")
    patch = patches.get(session, patch_id)
    if base_revision is not None and base_revision != annotation.revision:
        raise annotations.stale(session, patch)
    if not patches.judge(session, patch, STATE_OF[verdict], revision=annotation.revision):
        raise NotReviewable(f"The patch is {patch.state}; only an annotated one is reviewed.")
    row = Review(annotation_id=annotation.id, reviewer_id=by.id, verdict=verdict, comment=comment)
    session.add(row)
    session.flush()
    tell(session, settings, MaskReviewed(patch.slide_id, patch.id))
    audit.record(
        session,
        by,
        f"annotation.{verdict}",
        "patch",
        patch_id,
        revision=annotation.revision,
        annotation_id=annotation.id,
    )
    return row
