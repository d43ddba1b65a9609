"""A round after its start: training, evaluation, verdict, or an early end."""

from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job
from backend.kit.db.base import now
from backend.kit.db.outbox import after_commit
from backend.kit.states import move, move_or_conflict
from backend.kit.storage.sweeping import forget_folders, remove
from backend.learning.model_versions import service as model_versions
from backend.learning.rounds.tables import LIVE, Round, RoundCurve, RoundState
from backend.settings import Settings


def curves(session: Session, round_id: str) -> list[RoundCurve]:
    statement = select(RoundCurve).where(RoundCurve.round_id == round_id).order_by(RoundCurve.step)
    return list(session.scalars(statement))


def begin_training(session: Session, row: Round, *, config: dict[str, Any]) -> None:
    """Move a round to training, with the model version that it makes. `config` adds to its own."""
    move(session, Round, row.id, RoundState.TRAINING)
    version = model_versions.begin_training(
        session,
        preset=row.config["preset"],
        parent_id=row.parent_model_version_id,
        snapshot_sha256=row.snapshot_sha256 or "",
        config={**row.config, **config},
    )
    row.model_version_id = version.id
    row.config = version.config
    session.flush()


def record_curve(session: Session, round_id: str, step: int, values: dict[str, float]) -> None:
    """Write a bucket of the curves; a step that is trained again after a crash changes nothing."""
    session.merge(RoundCurve(round_id=round_id, step=step, values=values))


def begin_evaluation(session: Session, round_id: str) -> None:
    move(session, Round, round_id, RoundState.EVALUATING)


def close(
    session: Session, round_id: str, *, state: RoundState, reason: str, metrics: dict[str, Any]
) -> None:
    """End a round with its verdict: promoted, kept back or not judged."""
    move_or_conflict(
        session,
        Round,
        round_id,
        state,
        "This round is over already.",
        reason=reason,
        metrics=metrics,
        finished_at=now(),
    )


@jobs.on_failure(JobKind.TRAIN)
def abandon(session: Session, settings: Settings, job: Job, problem: dict[str, Any]) -> None:
    """End the round of a job that failed or was cancelled, and its half-trained version."""
    reason = str(problem.get("detail", "Training failed."))
    move(session, Round, job.subject, RoundState.ABANDONED, reason=reason, finished_at=now())
    row = session.get(Round, job.subject, populate_existing=True)
    if row is not None and row.model_version_id is not None:
        model_versions.give_up_training(session, row.model_version_id, reason)
    after_commit(session, partial(forget, settings, job.subject))


def training_folder(settings: Settings, round_id: str) -> Path:
    """Return where a round keeps its checkpoints while it lives."""
    return settings.training_folder / round_id


def forget_ended(session: Session, settings: Settings) -> None:
    """Delete the checkpoints of rounds that are over: a killed worker could not."""
    live = select(Round.id).where(Round.state.in_(LIVE))
    forget_folders(settings.training_folder, lambda: session.scalars(live).all())


def forget(settings: Settings, round_id: str) -> None:
    remove(training_folder(settings, round_id))
