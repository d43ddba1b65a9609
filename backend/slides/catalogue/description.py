"""Slides as people see them: the row, how far its patches are, and the job that works on it."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.job_kinds import JobKind
from backend.jobs.tables import Job, JobState
from backend.kit.contract import Failure
from backend.learning.model_versions.tables import ModelVersion, ModelVersionState
from backend.slides.catalogue.schemas import LiveJob, SlideOut
from backend.slides.catalogue.service import active_jobs, slide_of
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import Patch, PatchState

REVIEWED = (PatchState.ANNOTATED, PatchState.RETURNED, PatchState.APPROVED)


def describe(session: Session, slides: Sequence[Slide]) -> list[SlideOut]:
    """Describe slides with their patches' states and their live jobs."""
    ids = [slide.id for slide in slides]
    counts, live = patch_counts(session, ids), live_jobs(session, ids)
    failed = failed_predictions(session, ids)
    shown = []
    for slide in slides:
        view = SlideOut.model_validate(slide)
        view.patch_counts = counts.get(slide.id, {})
        view.annotated_count = sum(view.patch_counts.get(str(state), 0) for state in REVIEWED)
        if view.problem is None and slide.id in failed:
            view.problem = failed[slide.id]
        if slide.id in live:
            view.job = LiveJob.model_validate(live[slide.id])
        shown.append(view)
    return shown


def patch_counts(session: Session, slide_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return how many patches of each slide are in each state."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    rows = session.execute(
        select(Patch.slide_id, Patch.state, func.count())
        .where(Patch.slide_id.in_(slide_ids))
        .group_by(Patch.slide_id, Patch.state)
    )
    for slide_id, state, number in rows:
        counts[slide_id][str(state)] = number
    return counts


def failed_predictions(session: Session, slide_ids: Sequence[str]) -> dict[str, Failure]:
    """Return why slides have no proposals of the active version: their newest job of it failed."""
    version_id = session.scalar(
        select(ModelVersion.id).where(ModelVersion.state == ModelVersionState.ACTIVE)
    )
    newest = {
        slide_of(job): job
        for job in session.scalars(
            select(Job)
            .where(
                Job.kind == JobKind.PREDICT,
                Job.subject.in_([f"{slide_id}:{version_id}" for slide_id in slide_ids]),
            )
            .order_by(Job.id)
        )
    }
    return {
        slide_id: Failure(
            code=job.problem["code"],
            detail=f"The proposals could not be made. {job.problem['detail']}",
        )
        for slide_id, job in newest.items()
        if job.state == JobState.FAILED and job.problem
    }


def live_jobs(session: Session, slide_ids: Sequence[str]) -> dict[str, Job]:
    """Return the oldest active job of each slide that has one."""
    found: dict[str, Job] = {}
    for job in active_jobs(session):
        found.setdefault(slide_of(job), job)
    return {slide_id: found[slide_id] for slide_id in slide_ids if slide_id in found}
