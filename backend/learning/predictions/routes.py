"""Predictions and overlays over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status

from backend.jobs.idempotency import KeyOfRequest
from backend.jobs.schemas import JobOut
from backend.kit import conditional
from backend.kit.dependencies import (
    BlobStore,
    CurrentSettings,
    ReadSession,
    WriteSession,
)
from backend.learning.predictions import service, tiles
from backend.learning.predictions.overlays import Overlay
from backend.learning.predictions.schemas import PredictionIn
from backend.people.users.guards import Pathologist, Viewer
from backend.slides.catalogue import service as slides

router = APIRouter(tags=["predictions"])


@router.post("/slides/{slide_id}/predictions", status_code=status.HTTP_202_ACCEPTED)
def request_prediction(
    session: WriteSession,
    settings: CurrentSettings,
    user: Pathologist,
    slide_id: str,
    wanted: PredictionIn,
    idempotency_key: KeyOfRequest = None,
) -> JobOut:
    """Run a model version over a slide, or over a box first."""
    service.require_measured(slides.get(session, slide_id))
    job = service.request(
        session,
        settings,
        slide_id,
        model_version_id=wanted.model_version,
        box=wanted.region(),
        requested_by=user.id,
        idempotency_key=idempotency_key,
    )
    return JobOut.model_validate(job)


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
    etag, render = tiles.tile(
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
