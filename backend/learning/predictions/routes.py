"""Predictions over HTTP."""

from fastapi import APIRouter, status

from backend.jobs.idempotency import KeyOfRequest
from backend.jobs.schemas import JobOut
from backend.kit.dependencies import CurrentSettings, WriteSession
from backend.learning.predictions import service
from backend.learning.predictions.schemas import PredictionIn
from backend.people.users.guards import Pathologist
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
