"""Annotations over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status
from sqlalchemy.orm import Session

from backend.kit import conditional
from backend.kit.db.session import Database
from backend.kit.dependencies import BlobStore, CurrentDatabase, CurrentSettings, ReadSession
from backend.kit.paging import Page, Paged
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations import effort, masks, restoring, service
from backend.learning.annotations.schemas import AnnotationOut, Author, Saved
from backend.learning.annotations.service import Draft, Written
from backend.learning.annotations.tables import Annotation, Source
from backend.learning.patch_views import service as views
from backend.learning.patch_views.schemas import PatchOut
from backend.people.users.guards import Pathologist, Viewer
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.patches import service as patches

router = APIRouter(tags=["annotations"])
SAVED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The patch has this mask already: no new revision."},
    201: {"model": Saved, "description": "A new revision."},
}
SecondsSpent = Annotated[
    float | None,
    # held to where all ways of saving pass through
    Query(
        description="Of active work on the patch, pauses left out; at most a day.",
        json_schema_extra={"minimum": 0, "maximum": effort.MOST.total_seconds()},
    ),
]


async def body_of(request: Request) -> bytes:
    """Read a mask's bytes, and no more of them than a mask may have."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > masks.MAX_BYTES:
            raise masks.MaskTooLarge(f"A mask may have {masks.MAX_BYTES} bytes.")
    return bytes(body)


@router.put(
    "/patches/{patch_id}/annotation",
    responses=SAVED,
    openapi_extra={"requestBody": {"required": True, "content": {"image/png": {}}}},
)
def put_annotation(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    patch_id: str,
    response: Response,
    body: Annotated[bytes, Depends(body_of)],
    seconds_spent: SecondsSpent = None,
    source: Source = Source.EDITED,
    model_version: Annotated[
        str | None,
        Query(
            description="Whose proposal was shown, a model version's id; without it the one that "
            "the patch shows now."
        ),
    ] = None,
    if_match: conditional.IfMatch = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Saved:
    """Save a mask (PNG body) as the next immutable revision; 412 if somebody was faster."""
    base = conditional.base_revision(if_match, if_none_match)
    mask = masks.decode(body)
    draft = Draft(mask, base, source, seconds_spent, model_version_id=model_version)
    return save(database, blobs, settings, patch_id, draft, user, response)


def save(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    patch_id: str,
    draft: Draft,
    user: User,
    response: Response,
) -> Saved:
    """Write a draft and show what it became."""
    with database.reading() as session:
        prepared = service.prepare(session, blobs, settings, patch_id, draft)
    with database.writing() as session:
        written = service.submit(session, settings, patch_id, prepared, by=user)
        saved = saved_of(session, written, user)
    tell_revision(response, written)
    return saved


def saved_of(session: Session, written: Written, user: User) -> Saved:
    annotation, taken_from = written.annotation, written.taken_from
    patch = patches.get(session, annotation.patch_id)
    return Saved(
        patch=PatchOut.of(views.view(session, patch), user),
        annotation=AnnotationOut.of(annotation),
        taken_from=taken_from and Author.of(taken_from),
    )


def tell_revision(response: Response, written: Written) -> None:
    response.status_code = status.HTTP_201_CREATED if written.new else status.HTTP_200_OK
    response.headers["ETag"] = conditional.revision_etag(written.annotation.revision)


@router.get("/patches/{patch_id}/annotation.png", response_class=Response)
def get_annotation(
    request: Request, session: ReadSession, blobs: BlobStore, user: Viewer, patch_id: str
) -> Response:
    """Return the newest revision's mask; 404 `no_annotation` if there is none."""
    sha256 = service.newest_of(session, patch_id).mask_sha256
    return conditional.picture(request, sha256, lambda: blobs.read(sha256))


@router.get("/patches/{patch_id}/annotations")
def list_annotations(
    session: ReadSession, user: Viewer, patch_id: str, page: Paged
) -> Page[AnnotationOut]:
    """List every revision of a patch, newest first: who and when."""
    revisions = service.revisions(session, patch_id)
    return page.newest(session, revisions, Annotation.id, AnnotationOut.of)


@router.get("/patches/{patch_id}/annotations/{revision}.png", response_class=Response)
def get_revision(
    request: Request,
    session: ReadSession,
    blobs: BlobStore,
    user: Viewer,
    patch_id: str,
    revision: int,
) -> Response:
    """Return the mask of any revision, which never changes; 404 `revision_not_found`."""
    sha256 = service.any_revision(session, patch_id, revision).mask_sha256
    return conditional.picture(
        request, sha256, lambda: blobs.read(sha256), cache=conditional.FOR_EVER
    )


@router.post("/patches/{patch_id}/annotations/{revision}/restore", responses=SAVED)
def restore_revision(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    patch_id: str,
    revision: int,
    response: Response,
    seconds_spent: SecondsSpent = None,
    if_match: conditional.IfMatch = None,
) -> Saved:
    """Bring a revision's mask back as the newest one, by the rules of a save.

    The new revision says in `restores` which one it is again.
    """
    base = conditional.base_revision(if_match)
    draft = restoring.draft_of(database, blobs, patch_id, revision, base, seconds_spent)
    return save(database, blobs, settings, patch_id, draft, user, response)
