"""The job protocol, SQL side: enqueue, claim, renew, end, re-queue what was lost.

SQL is the truth and the broker only the bell: a message that is lost, doubled or late changes
nothing, because a job is run by whoever wins its row, while its lease lasts.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.job_kinds import WITHOUT_ROW, JobKind
from backend.jobs.bell import longest, ring
from backend.jobs.repeats import IdempotencyKey, same_request
from backend.jobs.tables import ACTIVE, Job, JobState
from backend.kit.db.base import now
from backend.kit.db.outbox import after_commit
from backend.kit.errors import NotFound
from backend.kit.events.service import announce, announce_all
from backend.kit.states import move
from backend.settings import Settings

log = logging.getLogger(__name__)
Problem = Mapping[str, Any]
OnFailure = Callable[[Session, Settings, Job, dict[str, Any]], None]
ON_FAILURE: dict[JobKind, OnFailure] = {}

LOST = {
    "code": "worker_lost",
    "detail": "The worker that ran this stopped without a word, more often than is tried again.",
}
TIMED_OUT = {
    "code": "job_timed_out",
    "detail": (
        "This ran longer than the installation allows (MEMBRANA_JOB_HOURS), so it was ended. A "
        "damaged file can keep a program busy for ever."
    ),
}
CANCELLED = {"code": "cancelled", "detail": "Somebody cancelled this."}


class JobNotFound(NotFound):
    code = "job_not_found"


class LeaseLost(Exception):
    """The job belongs to somebody else now: write nothing."""


def on_failure(kind: JobKind) -> Callable[[OnFailure], OnFailure]:
    """Register what else must change, in the same transaction, when such a job fails for good."""

    def register(function: OnFailure) -> OnFailure:
        ON_FAILURE[kind] = function
        return function

    return register


def enqueue(
    session: Session,
    settings: Settings,
    kind: JobKind,
    subject: str,
    *,
    params: dict[str, Any] | None = None,
    requested_by: str | None = None,
    idempotency_key: IdempotencyKey | None = None,
) -> Job:
    """Return the active job of this kind and subject, or a new one that rings after the commit."""
    if known := same_request(session, idempotency_key):
        return known
    job = Job(
        kind=kind,
        subject=subject,
        params=params or {},
        max_attempts=settings.max_attempts,
        requested_by=requested_by,
        idempotency_key=idempotency_key and idempotency_key.key,
        request_sha256=idempotency_key and idempotency_key.request_sha256,
        rung_at=now(),
    )
    try:
        with session.begin_nested():
            session.add(job)
    except IntegrityError:
        twin = same_request(session, idempotency_key) or active_job(session, kind, subject)
        if twin is None:
            raise
        return twin
    announce_job(session, job)
    after_commit(session, partial(ring, settings, job.id, kind))
    return job


def enqueue_all(
    session: Session,
    settings: Settings,
    kind: JobKind,
    subjects: Sequence[str],
    *,
    requested_by: str | None = None,
) -> None:
    """Have an active job of this kind for each subject, in as few statements for all as for one."""
    there = set(session.scalars(select(Job.subject).where(Job.kind == kind, Job.state.in_(ACTIVE))))
    new = [
        Job(
            kind=kind,
            subject=subject,
            params={},
            max_attempts=settings.max_attempts,
            requested_by=requested_by,
            rung_at=now(),
        )
        for subject in subjects
        if subject not in there
    ]
    try:
        with session.begin_nested():
            session.add_all(new)
    except IntegrityError:
        # somebody asked for one of them meanwhile
        for subject in subjects:
            enqueue(session, settings, kind, subject, requested_by=requested_by)
        return
    announce_all(session, Job.TOPIC, [(job.id, announcement_of(job)) for job in new])
    for job in new:
        after_commit(session, partial(ring, settings, job.id, kind))


def active_job(session: Session, kind: JobKind, subject: str) -> Job | None:
    return session.scalar(
        select(Job).where(Job.kind == kind, Job.subject == subject, Job.state.in_(ACTIVE))
    )


def active_of(session: Session, kinds: Collection[JobKind]) -> Sequence[Job]:
    """Return the active jobs of some kinds, oldest first."""
    return session.scalars(
        select(Job).where(Job.kind.in_(kinds), Job.state.in_(ACTIVE)).order_by(Job.id)
    ).all()


def by_id(session: Session, job_ids: Collection[str]) -> dict[str, Job]:
    """Return jobs by their ids; one that is not there is left out."""
    return {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(job_ids)))}


def newest(session: Session, kind: JobKind, subjects: Collection[str]) -> Sequence[Job]:
    """Return the newest job of a kind on each subject that has one, however it stands."""
    rows = session.scalars(
        select(Job).where(Job.kind == kind, Job.subject.in_(subjects)).order_by(Job.id)
    )
    return list({job.subject: job for job in rows}.values())


def newest_of(session: Session, kind: JobKind, subject: str) -> Job | None:
    """Return a kind's job on subjects that begin so: one that is going on before any that ended."""
    return session.scalar(
        select(Job)
        .where(Job.kind == kind, Job.subject.startswith(subject, autoescape=True))
        .order_by(Job.state.in_(ACTIVE).desc(), Job.id.desc())
        .limit(1)
    )


def longest_queued(session: Session, kind: JobKind) -> str | None:
    """Return the queued job of a kind that has waited longest."""
    return session.scalar(
        select(Job.id)
        .where(Job.kind == kind, Job.state == JobState.QUEUED)
        .order_by(Job.id)
        .limit(1)
    )


def counts(session: Session) -> list[tuple[JobKind, JobState, int]]:
    """Return how many jobs of each kind are in each state."""
    statement = select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state)
    return [(kind, state, count) for kind, state, count in session.execute(statement)]


def waiting_since(session: Session) -> list[tuple[JobKind, datetime]]:
    """Return when the oldest queued job of each kind was asked for."""
    oldest = select(Job.kind, func.min(Job.created_at)).where(Job.state == JobState.QUEUED)
    return [(kind, moment) for kind, moment in session.execute(oldest.group_by(Job.kind))]


def active_ids(session: Session, kind: JobKind) -> Sequence[str]:
    """Return the jobs of a kind that are not over."""
    return session.scalars(select(Job.id).where(Job.kind == kind, Job.state.in_(ACTIVE))).all()


def get(session: Session, job_id: str) -> Job:
    job = session.get(Job, job_id)
    if job is None:
        raise JobNotFound("There is no job with this id.")
    return job


def cancel(session: Session, settings: Settings, job_id: str) -> Job:
    """Cancel a queued job now; ask a running one to stop at its next batch."""
    job = get(session, job_id)
    if move(session, Job, job_id, JobState.CANCELLED, Job.state == JobState.QUEUED, **ended()):
        follow_failure(session, settings, job_id, CANCELLED)
    else:
        session.execute(
            update(Job)
            .where(Job.id == job_id, Job.state == JobState.RUNNING)
            .values(cancel_requested=True)
        )
    session.refresh(job)
    return job


def claim(session: Session, job_id: str, *, owner: str, lease_seconds: float) -> Job | None:
    """Make a queued job the caller's, or return None: somebody else won, or it is over."""
    won = move(
        session,
        Job,
        job_id,
        JobState.RUNNING,
        attempts=Job.attempts + 1,
        owner=owner,
        lease_until=now() + timedelta(seconds=lease_seconds),
        started_at=now(),
    )
    return session.get(Job, job_id, populate_existing=True) if won else None


def renew(session: Session, job_id: str, *, owner: str, lease_seconds: float) -> bool:
    """Lengthen the lease; return whether a cancel was asked for. Raise LeaseLost if not ours."""
    job = session.scalar(
        update(Job)
        .where(Job.id == job_id, Job.owner == owner, Job.state == JobState.RUNNING)
        .values(lease_until=now() + timedelta(seconds=lease_seconds))
        .returning(Job)
        .execution_options(populate_existing=True)
    )
    if job is None:
        raise LeaseLost
    return job.cancel_requested


def report(session: Session, job_id: str, *, owner: str, progress: float, message: str) -> None:
    """Write the progress people see."""
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.owner == owner)
        .values(progress=min(max(progress, 0.0), 1.0), message=message)
    )
    announce_job(session, session.get_one(Job, job_id, populate_existing=True))


def succeed(session: Session, job_id: str, *, owner: str) -> None:
    values = {"progress": 1.0, "problem": None, **ended()}
    if not move(session, Job, job_id, JobState.SUCCEEDED, Job.owner == owner, **values):
        raise LeaseLost


def forget_request(job: Job) -> None:
    """Name no longer what a job was asked with: what only it named can be swept."""
    job.params = {}


def keep_result(session: Session, job_id: str, result: dict[str, Any]) -> None:
    """Keep what came of a job in the place of what was asked for."""
    session.execute(update(Job).where(Job.id == job_id).values(result=result, params={}))


def fail(
    session: Session,
    settings: Settings,
    job_id: str,
    *,
    owner: str,
    problem: Problem,
    state: JobState,
) -> None:
    """End a job as failed or cancelled, and let its domain follow."""
    values = {"problem": dict(problem), **ended()}
    if not move(session, Job, job_id, state, Job.owner == owner, **values):
        raise LeaseLost
    follow_failure(session, settings, job_id, problem)


def put_back(
    session: Session, settings: Settings, job: Job, problem: Problem, *, now_if: Any
) -> None:
    """Queue a lost or stumbled job again, or fail it when it was tried often enough.

    `now_if` is the condition under which the caller may: its own lease, or an expired one.
    """
    if job.attempts >= job.max_attempts:
        values = {"problem": dict(problem), **ended()}
        if move(session, Job, job.id, JobState.FAILED, now_if, **values):
            follow_failure(session, settings, job.id, problem)
        return
    free = {"owner": None, "lease_until": None, "rung_at": now()}
    if move(session, Job, job.id, JobState.QUEUED, now_if, **free):
        after_commit(session, partial(ring, settings, job.id, job.kind))


def hand_over(session: Session, settings: Settings, job_id: str, *, owner: str) -> None:
    """Give a job back untried: this worker is asked to shut down."""
    job = get(session, job_id)
    free = {"owner": None, "lease_until": None, "rung_at": now(), "attempts": Job.attempts - 1}
    if move(session, Job, job_id, JobState.QUEUED, Job.owner == owner, **free):
        after_commit(session, partial(ring, settings, job_id, job.kind))


def lost(session: Session) -> Sequence[str]:
    """Return the running jobs whose lease ran out."""
    return session.scalars(
        select(Job.id).where(Job.state == JobState.RUNNING, Job.lease_until < now())
    ).all()


def recover(session: Session, settings: Settings, job_id: str) -> None:
    """Queue a job whose lease ran out, or fail it; one that is somebody's again stays theirs."""
    job = get(session, job_id)
    age = (now() - job.started_at).total_seconds() if job.started_at else 0.0
    problem = TIMED_OUT if age >= longest(job.kind, settings) else LOST
    log.warning("job %s: %s (attempt %d)", job.id, problem["code"], job.attempts)
    put_back(session, settings, job, problem, now_if=Job.lease_until < now())


def ring_again(session: Session, settings: Settings) -> None:
    """Ring for queued jobs that nobody has come for."""
    moment = now()
    waiting = moment - timedelta(seconds=settings.ring_again_seconds)
    for job in queued_since(session, waiting):
        job.rung_at = moment
        after_commit(session, partial(ring, settings, job.id, job.kind))


def queued_since(session: Session, moment: Any) -> Sequence[Job]:
    return session.scalars(
        select(Job).where(
            Job.state == JobState.QUEUED, or_(Job.rung_at.is_(None), Job.rung_at < moment)
        )
    ).all()


def follow_failure(session: Session, settings: Settings, job_id: str, problem: Problem) -> None:
    """Have what waits for a job hear that it failed for good.

    A kind that nobody has said anything of is an error: the process loads no listeners
    (wiring.listen), and what waits for the job would wait for ever.
    """
    job = session.get_one(Job, job_id, populate_existing=True)
    if job.kind in ON_FAILURE or job.kind not in WITHOUT_ROW:
        reason = {key: problem[key] for key in ("code", "detail") if key in problem}
        ON_FAILURE[job.kind](session, settings, job, reason)


def ended() -> dict[str, Any]:
    return {"owner": None, "lease_until": None, "finished_at": now()}


def announce_job(session: Session, job: Job) -> None:
    announce(session, Job.TOPIC, job.id, announcement_of(job))


def announcement_of(job: Job) -> dict[str, Any]:
    """Return what an event says of a job."""
    return {
        "kind": str(job.kind),
        "subject": job.subject,
        "state": str(job.state),
        "progress": job.progress,
        "message": job.message,
    }
