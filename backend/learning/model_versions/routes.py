"""Model versions over REST."""

from fastapi import APIRouter

from backend.kit.dependencies import CurrentSettings, ReadSession, WriteSession
from backend.kit.paging import Cursor, Limit, Page
from backend.learning.model_versions import service
from backend.learning.model_versions.schemas import ModelVersionOut
from backend.people.users.guards import Pathologist, Viewer

router = APIRouter(prefix="/model-versions", tags=["learning"])


@router.get("")
def list_model_versions(
    session: ReadSession, user: Viewer, limit: Limit = 50, cursor: Cursor = None
) -> Page[ModelVersionOut]:
    """List model versions, newest first."""
    rows, next_cursor = service.listing(session, limit=limit, cursor=cursor)
    return Page(
        items=[ModelVersionOut.model_validate(row) for row in rows], next_cursor=next_cursor
    )


@router.get("/{model_version_id}")
def get_model_version(session: ReadSession, user: Viewer, model_version_id: str) -> ModelVersionOut:
    """Show one version: its parent, its snapshot, the sha256 of its weights, its metrics."""
    return ModelVersionOut.model_validate(service.get(session, model_version_id))


@router.post("/{model_version_id}/activate")
def activate_model_version(
    session: WriteSession, settings: CurrentSettings, user: Pathologist, model_version_id: str
) -> ModelVersionOut:
    """Make a version the one that predicts (also a way back); slides are predicted again."""
    version = service.activate(session, settings, model_version_id, by=user)
    return ModelVersionOut.model_validate(version)
