"""Slides as people see them: the row, how far its patches are, and the job that works on it."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from backend.jobs.tables import Job
from backend.kit.contract import Failure
from backend.kit.facts import ask
from backend.slides.catalogue.facts import WhyUnseen
from backend.slides.catalogue.schemas import LiveJob, SlideOut
from backend.slides.catalogue.service import active_jobs, slide_of
from backend.slides.catalogue.tables import Slide
from backend.slides.patches import service as patches


def describe(session: Session, slides: Sequence[Slide]) -> list[SlideOut]:
    """Describe slides with their patches' states and their live jobs."""
    ids = [slide.id for slide in slides]
    counts, live = patches.counts(session, ids), live_jobs(session, ids)
    unseen: dict[str, Failure] = {}
    for answer in ask(session, WhyUnseen(tuple(ids))):
        unseen |= answer
    shown = []
    for slide in slides:
        view = SlideOut.model_validate(slide)
        view.patch_counts = {str(state): number for state, number in counts[slide.id].items()}
        view.annotated_count = sum(counts[slide.id].get(state, 0) for state in patches.REVIEWED)
        if view.problem is None and slide.id in unseen:
            view.problem = unseen[slide.id]
        if slide.id in live:
            view.job = LiveJob.model_validate(live[slide.id])
        shown.append(view)
    return shown


def live_jobs(session: Session, slide_ids: Sequence[str]) -> dict[str, Job]:
    """Return the oldest active job of each slide that has one."""
    job_of: dict[str, Job] = {}
    for job in active_jobs(session):
        job_of.setdefault(slide_of(job), job)
    return {slide_id: job_of[slide_id] for slide_id in slide_ids if slide_id in job_of}
