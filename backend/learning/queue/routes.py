"""The queue over HTTP: the next patch, and one that is put aside."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status

from backend.kit.dependencies import CurrentSettings, ReadSession, WriteSession
from backend.learning.patch_views import service as views
from backend.learning.patch_views.schemas import PatchOut, Reason
from backend.learning.queue import put_back, service
from backend.learning.queue.order import Strategy
from backend.learning.queue.schemas import Coming, ComingPatch, LeaseTerm, QueueItem
from backend.people.users.guards import Pathologist
from backend.slides.patches import leases

router = APIRouter(tags=["patches"])


@router.post("/patches/{patch_id}/skip")
def skip_patch(session: WriteSession, user: Pathologist, patch_id: str) -> PatchOut:
    """Put a patch aside: the queue offers it to nobody."""
    return PatchOut.of(views.view(session, leases.skip(session, patch_id, user=user)), user)


@router.get("/queue")
def list_coming(
    request: Request,
    session: ReadSession,
    user: Pathologist,
    slide_id: str | None = None,
    strategy: Annotated[Strategy, Query(description="As of `/queue/next`.")] = "uncertainty",
    after: Annotated[str | None, Query(description="The patch that is open.")] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> Coming:
    """List the patches that come next, with why and their pictures; nobody's lease changes."""
    coming = service.upcoming(
        session, user=user, slide_id=slide_id, after=after, strategy=strategy, limit=limit
    )
    return Coming(
        items=[
            ComingPatch(
                patch=PatchOut.of(view, user),
                reason=Reason.model_validate(service.reason_of(session, view, strategy)),
                thumbnail=request.app.url_path_for("get_image", patch_id=view.patch.id),
            )
            for view in coming
        ]
    )


@router.post("/queue/{patch_id}/skip")
def put_patch_back(session: WriteSession, user: Pathologist, patch_id: str) -> PatchOut:
    """Skip a patch for now: the caller is offered it again when nothing else is left.

    Others are offered it as ever. What is to be offered to nobody: `POST /patches/{id}/skip`.
    """
    patch = put_back.put_back(session, patch_id, user=user)
    return PatchOut.of(views.view(session, patch), user)


@router.get(
    "/queue/next",
    response_model=QueueItem,
    responses={204: {"description": "Nothing waits."}},
)
def next_patch(
    session: WriteSession,
    settings: CurrentSettings,
    user: Pathologist,
    slide_id: str | None = None,
    strategy: Annotated[
        Strategy,
        Query(
            description="`uncertainty`: areas in doubt and the networks' entropy, spread over "
            "unlike patches; `entropy`: the entropy alone; "
            "`random`; `clinical`: where a correction could change the slide's category."
        ),
    ] = "uncertainty",
    after: Annotated[str | None, Query(description="The patch that is left unsaved.")] = None,
    patch_id: Annotated[
        str | None,
        Query(description="The one that was shown as the next (`/queue`): taken if still free."),
    ] = None,
) -> QueueItem | Response:
    """Lease the next patch to the caller; a patch is in one person's hands at a time."""
    view = service.take_next(
        session,
        settings,
        user=user,
        slide_id=slide_id,
        after=after,
        wanted=patch_id,
        strategy=strategy,
    )
    if view is None:
        return Response(status_code=status.HTTP_204_NO_CONTENT)
    assert view.patch.lease_until is not None, "a patch from the queue is leased"
    return QueueItem(
        patch=PatchOut.of(view, user),
        reason=Reason.model_validate(service.reason_of(session, view, strategy)),
        lease=LeaseTerm(expires_at=view.patch.lease_until),
    )
