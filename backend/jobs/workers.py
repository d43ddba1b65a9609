"""Workers that are alive: each says so every few seconds, and takes its word back when it ends."""

from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from backend.jobs.tables import WorkerHeartbeat
from backend.kit.db.base import now

SILENCE = timedelta(seconds=30)
"""Three of the looks that each worker takes (`reaper_seconds`): who is silent longer is gone."""


def beat(session: Session, name: str, queues: str) -> None:
    """Say that a worker lives and which queues it serves."""
    session.merge(WorkerHeartbeat(name=name, queues=queues, seen_at=now()))


def leave(session: Session, name: str) -> None:
    """Say that a worker has ended."""
    session.execute(delete(WorkerHeartbeat).where(WorkerHeartbeat.name == name))


def alive(session: Session) -> dict[str, int]:
    """Return how many workers have shown themselves lately, by the queues that they serve."""
    statement = (
        select(WorkerHeartbeat.queues, func.count())
        .where(WorkerHeartbeat.seen_at > now() - SILENCE)
        .group_by(WorkerHeartbeat.queues)
    )
    return {queues: count for queues, count in session.execute(statement)}  # noqa: C416  (rows are not tuples)
