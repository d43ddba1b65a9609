"""Label issues over HTTP."""

from fastapi import APIRouter, Request, Response, status

from backend.jobs.idempotency import KeyOfRequest
from backend.jobs.schemas import JobOut
from backend.kit import conditional
from backend.kit.dependencies import BlobStore, CurrentDatabase, CurrentSettings, ReadSession
from backend.kit.paging import Cursor, Limit
from backend.learning.label_issues import service
from backend.learning.label_issues.schemas import IssueList
from backend.learning.label_issues.tables import IssueKind
from backend.people.users.guards import Pathologist, Viewer
from backend.slides.catalogue import service as slides
from backend.slides.patches import service as patches

router = APIRouter(prefix="/label-issues", tags=["learning"])


@router.post("", status_code=status.HTTP_202_ACCEPTED)
def request_audit(
    database: CurrentDatabase,
    settings: CurrentSettings,
    user: Pathologist,
    idempotency_key: KeyOfRequest = None,
) -> JobOut:
    """Have all accepted masks judged by networks that never saw them; one audit at a time."""
    job = service.request(database, settings, by=user, idempotency_key=idempotency_key)
    return JobOut.model_validate(job)


@router.get("")
def list_issues(
    session: ReadSession,
    _: Viewer,
    slide_id: str | None = None,
    patch_id: str | None = None,
    kind: IssueKind | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> IssueList:
    """List what the last audit doubts in masks that nobody has changed since, worst first."""
    if slide_id is not None:
        slides.get(session, slide_id)
    if patch_id is not None:
        patches.get(session, patch_id)
    views, next_cursor = service.listing(
        session, slide_id=slide_id, patch_id=patch_id, kind=kind, limit=limit, cursor=cursor
    )
    return IssueList.of(views, next_cursor, service.overview(session))


@router.get("/{issue_id}/pixels.png", response_class=Response)
def get_pixels(
    request: Request, session: ReadSession, blobs: BlobStore, _: Viewer, issue_id: str
) -> Response:
    """Return an issue's pixels, the size of its patch: 255 = doubtful."""
    sha256 = service.pixels_sha256(session, issue_id)
    return conditional.picture(request, sha256, lambda: blobs.read(sha256))
