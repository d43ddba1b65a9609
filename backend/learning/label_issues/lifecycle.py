"""An audit after its request: what it froze, what it doubts, or an early end."""

from collections.abc import Sequence
from dataclasses import dataclass
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
from backend.kit.storage.sweeping import forget_folders, remove
from backend.learning.label_issues.tables import IssueKind, LabelAudit, LabelIssue, LabelJudgement
from backend.settings import Settings


@dataclass(frozen=True)
class JudgedMask:
    """A mask that was judged; see LabelJudgement."""

    annotation_id: str
    weights_sha256: str
    judged_px: int
    doubtful_px: int


@dataclass(frozen=True)
class DoubtfulPiece:
    """A doubtful piece; see LabelIssue. Its rank is its place in the list it comes in."""

    annotation_id: str
    kind: IssueKind
    row: int
    column: int
    height: int
    width: int
    size_px: int
    score: float
    pixels_sha256: str


def of_job(session: Session, job_id: str) -> LabelAudit | None:
    return session.scalar(select(LabelAudit).where(LabelAudit.job_id == job_id))


def freeze(session: Session, audit: LabelAudit, **more: Any) -> None:
    """Add to an audit's settings what is known only when it begins."""
    audit.config = {**audit.config, **more}
    session.flush()


def finish(
    session: Session,
    audit_id: str,
    *,
    held_out: str,
    judged: Sequence[JudgedMask],
    doubtful: Sequence[DoubtfulPiece],
) -> None:
    """Write what an audit judged and what it doubts, worst first."""
    audit = session.get_one(LabelAudit, audit_id)
    audit.held_out = held_out
    audit.finished_at = now()
    session.add_all(LabelJudgement(audit_id=audit_id, **vars(each)) for each in judged)
    session.flush()
    session.add_all(
        LabelIssue(audit_id=audit_id, rank=rank, **vars(each))
        for rank, each in enumerate(doubtful, start=1)
    )
    session.flush()


@jobs.on_failure(JobKind.AUDIT_LABELS)
def give_up(session: Session, settings: Settings, job: Job, problem: dict[str, Any]) -> None:
    """Throw a failed or cancelled audit's checkpoints away; the last whole one stays shown."""
    after_commit(session, partial(forget, settings, job.id))


def audit_folder(settings: Settings, job_id: str) -> Path:
    """Return where an audit keeps its folds and checkpoints while its job lives."""
    return settings.audit_folder / job_id


def forget_ended(session: Session, settings: Settings) -> None:
    """Delete the checkpoints of audits that are over: a killed worker could not."""
    forget_folders(settings.audit_folder, lambda: jobs.active_ids(session, JobKind.AUDIT_LABELS))


def forget(settings: Settings, job_id: str) -> None:
    remove(audit_folder(settings, job_id))
