"""A job as people and programs see it."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from backend.job_kinds import JobKind
from backend.jobs.tables import JobState
from backend.kit.contract import Failure, Shown


class JobOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: JobKind
    subject: str
    state: JobState
    progress: float
    message: str
    attempts: int
    cancel_requested: bool
    problem: Annotated[dict[str, Any], Shown(Failure)] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobDetail(JobOut):
    """result: of an import, what became of each patch; null of other kinds."""

    result: dict[str, Any] | None
