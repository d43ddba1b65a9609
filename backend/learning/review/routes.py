"""Review over HTTP."""

from fastapi import APIRouter, Response, status

from backend.kit import conditional
from backend.kit.dependencies import CurrentSettings, WriteSession
from backend.learning.patch_views import service as views
from backend.learning.patch_views.schemas import PatchOut
from backend.learning.review import service
from backend.learning.review.schemas import Reviewed, ReviewIn, ReviewOut
from backend.people.users.guards import Pathologist
from backend.slides.patches import service as patches

router = APIRouter(tags=["annotations"])


@router.post("/patches/{patch_id}/review", status_code=status.HTTP_201_CREATED)
def review_patch(
    session: WriteSession,
    settings: CurrentSettings,
    user: Pathologist,
    patch_id: str,
    verdict: ReviewIn,
    response: Response,
    if_match: conditional.IfMatch = None,
) -> Reviewed:
    """Approve or return the newest annotation; its author can't. With If-Match: the one seen."""
    base = None if if_match is None else conditional.base_revision(if_match)
    row = service.review(
        session,
        settings,
        patch_id,
        by=user,
        verdict=verdict.verdict,
        comment=verdict.comment,
        base_revision=base,
    )
    patch = patches.get(session, patch_id)
    response.headers["ETag"] = conditional.revision_etag(patch.revision)
    return Reviewed(
        patch=PatchOut.of(views.view(session, patch), user),
        review=ReviewOut.model_validate(row),
    )
