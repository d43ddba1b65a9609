"""Overlays over HTTP: what models see of a slide and what people drew on it, as tiles."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from backend.kit import conditional
from backend.kit.dependencies import BlobStore, CurrentSettings, ReadSession
from backend.learning.overlays import service
from backend.learning.overlays.colours import Overlay
from backend.people.users.guards import Viewer

router = APIRouter(tags=["predictions"])


@router.get(
    "/slides/{slide_id}/overlays/{kind}_files/{level}/{col}_{row}.png", response_class=Response
)
def get_overlay_tile(
    request: Request,
    session: ReadSession,
    settings: CurrentSettings,
    blobs: BlobStore,
    user: Viewer,
    slide_id: str,
    kind: Overlay,
    level: int,
    col: int,
    row: int,
    model_version: Annotated[str | None, Query(description="Its id.")] = None,
) -> Response:
    """Return an overlay tile, RGBA, on the grid of the slide's own Deep Zoom tiles."""
    etag, render = service.tile(
        session,
        settings,
        blobs,
        slide_id=slide_id,
        kind=kind,
        level=level,
        place=(col, row),
        model_version_id=model_version,
    )
    return conditional.picture(request, etag, render)
