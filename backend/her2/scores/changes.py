"""What a change of masks, regions or membranes calls: the live score follows, if there is one."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.her2.regions.facts import RegionsChanged
from backend.her2.scores.tables import LiveScore, ScoreState
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job
from backend.kit.facts import on
from backend.kit.states import move_or_conflict
from backend.learning.annotations.facts import MaskSaved
from backend.learning.predictions.facts import PredictionFinished
from backend.learning.review.facts import MaskReviewed
from backend.settings import Settings


@on(MaskSaved, MaskReviewed, PredictionFinished, RegionsChanged)
def follow(
    session: Session,
    settings: Settings,
    fact: MaskSaved | MaskReviewed | PredictionFinished | RegionsChanged,
) -> None:
    touch(session, settings, fact.slide_id)


def touch(session: Session, settings: Settings, slide_id: str) -> Job | None:
    """Have a slide's live score follow a change of this very transaction.

    The job is looked for before the score's row is held, and again after: the job that ends now
    holds its own row first and the score's then, and neither may wait for the other.
    """
    if not session.scalar(select(LiveScore.id).where(LiveScore.slide_id == slide_id)):
        return None
    session.flush()
    job = jobs.enqueue(session, settings, JobKind.SCORE, slide_id)
    row = held(session, slide_id)
    job = jobs.active_job(session, JobKind.SCORE, slide_id) or jobs.enqueue(
        session, settings, JobKind.SCORE, slide_id
    )
    go(session, row, ScoreState.COMPUTING, wanted=LiveScore.wanted + 1, job_id=job.id)
    return job


def go(session: Session, row: LiveScore, to: ScoreState, **values: Any) -> None:
    """Move the row of a score that is held, and tell whoever looks at it."""
    detail = f"The score is {row.state}, so it can't become {to}."
    move_or_conflict(session, LiveScore, row.id, to, detail, **values)
    session.refresh(row)


def held(session: Session, slide_id: str) -> LiveScore:
    """Return the row of a slide's score, held against other writers."""
    return session.scalars(
        select(LiveScore)
        .where(LiveScore.slide_id == slide_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
