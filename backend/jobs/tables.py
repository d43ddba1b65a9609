"""A job is a row: the broker only rings the bell (architecture.md, the job protocol)."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.job_kinds import JobKind
from backend.kit.db.base import Base, EnumText, Identified, UtcDateTime, one_of


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (JobState.QUEUED, JobState.RUNNING)


class Job(Identified, Base):
    __tablename__ = "jobs"
    TOPIC: ClassVar[str] = "job"
    ANNOUNCED: ClassVar[tuple[str, ...]] = ("kind", "subject", "progress", "message")
    TRANSITIONS: ClassVar[Mapping[StrEnum, frozenset[StrEnum]]] = {
        JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.FAILED}),
        JobState.RUNNING: frozenset(
            {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.QUEUED}
        ),
    }
    __table_args__ = (
        one_of("state", JobState),
        one_of("kind", JobKind),
        CheckConstraint(
            "(state = 'running') = (owner IS NOT NULL AND lease_until IS NOT NULL)",
            name="running_has_lease",
        ),
        CheckConstraint("progress >= 0 AND progress <= 1", name="progress"),
        Index(
            "uq_jobs_active",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text("state IN ('queued', 'running')"),
            postgresql_where=text("state IN ('queued', 'running')"),
        ),
        Index("ix_jobs_state", "state", "lease_until"),
        Index("ix_jobs_subject", "kind", "subject"),
    )

    kind: Mapped[JobKind] = mapped_column(EnumText(JobKind))
    subject: Mapped[str] = mapped_column(String(200), doc="What it works on: a slide's id, …")
    state: Mapped[JobState] = mapped_column(EnumText(JobState), default=JobState.QUEUED)
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    progress: Mapped[float] = mapped_column(default=0.0)
    message: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    owner: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    problem: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(
        deferred=True, doc="What came of it, where no other row tells. May be long."
    )
    idempotency_key: Mapped[str | None] = mapped_column(String(200), unique=True)
    request_sha256: Mapped[str | None] = mapped_column(
        String(64), doc="Of the request that came with the key."
    )
    requested_by: Mapped[str | None] = mapped_column(String(36))
    rung_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WorkerHeartbeat(Base):
    """A worker that is alive says so every few seconds: how the service knows it has hands."""

    __tablename__ = "worker_heartbeats"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    queues: Mapped[str] = mapped_column(String(200))
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
