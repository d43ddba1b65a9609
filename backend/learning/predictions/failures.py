"""Why slides have no proposals: said where slides are shown."""

from sqlalchemy.orm import Session

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import JobState
from backend.kit.contract import Failure
from backend.kit.facts import on
from backend.learning.model_versions import service as model_versions
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.facts import WhyUnseen


@on(WhyUnseen)
def why_unseen(session: Session, question: WhyUnseen) -> dict[str, Failure]:
    """Return why slides have no proposals of the active version: their newest job of it failed."""
    active = model_versions.find_active(session)
    if active is None:
        return {}
    subjects = [f"{slide_id}:{active.id}" for slide_id in question.slide_ids]
    newest = {slides.slide_of(job): job for job in jobs.newest(session, JobKind.PREDICT, subjects)}
    return {
        slide_id: Failure(
            code=job.problem["code"],
            detail=f"The proposals could not be made. {job.problem['detail']}",
        )
        for slide_id, job in newest.items()
        if job.state == JobState.FAILED and job.problem
    }
