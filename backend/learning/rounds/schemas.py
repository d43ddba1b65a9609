"""Rounds as the contract shows them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel
from typing_extensions import TypedDict

from backend.job_kinds import JobKind
from backend.jobs.tables import Job, JobState
from backend.kit.contract import Failure, Shown
from backend.learning.rounds.service import RoundView
from backend.learning.rounds.tables import RoundCurve, RoundState


class RoundJob(BaseModel):
    """The job that trains, as far as a round shows it; `GET /jobs/{id}` has the rest."""

    id: str
    kind: JobKind
    subject: str
    state: JobState
    progress: float
    message: str
    attempts: int
    problem: Annotated[dict[str, Any], Shown(Failure)] | None

    @classmethod
    def of(cls, job: Job) -> "RoundJob":
        return cls.model_validate(job, from_attributes=True)


class CurvePoint(BaseModel):
    """Mean losses of the steps up to and with `step`."""

    step: int
    values: dict[str, float]


class GoldMetrics(TypedDict, total=False):
    dice: float | None


class GoldVerdict(TypedDict, total=False):
    """Of the active model and the candidate on the held-out patches."""

    active: GoldMetrics
    candidate: GoldMetrics


class ThresholdChoice(TypedDict, total=False):
    """From which probability on the candidate proposes membrane, and how it was chosen.

    slides: held out whole and showing membrane. dice, dice_at_half: on each of them, cut where the
    others choose, and at 0.5; null where there were too few. reason: a sentence.
    """

    value: float
    slides: int
    dice: float | None
    dice_at_half: float | None
    reason: str


class RoundMetrics(TypedDict, total=False):
    gold: GoldVerdict
    threshold: ThresholdChoice


class RoundOut(BaseModel):
    id: str
    state: RoundState
    reason: str
    created_at: datetime
    finished_at: datetime | None
    requested_by: str | None
    held_out: str | None
    snapshot_sha256: str | None
    training_count: int
    partial_count: int
    gold_count: int
    gold_counted: int | None
    parent_model_version_id: str
    model_version_id: str | None
    config: dict[str, Any]
    metrics: Annotated[dict[str, Any], Shown(RoundMetrics)]
    job: RoundJob | None

    @classmethod
    def of(cls, view: RoundView) -> "RoundOut":
        return cls(**members(view))


class RoundDetail(RoundOut):
    curves: list[CurvePoint]

    @classmethod
    def with_curves(cls, view: RoundView, curves: list[RoundCurve]) -> "RoundDetail":
        points = [CurvePoint(step=each.step, values=each.values) for each in curves]
        return cls(**members(view), curves=points)


class RoundList(BaseModel):
    """A page of rounds, and how near the next one is, to its start and to its verdict."""

    items: list[RoundOut]
    next_cursor: str | None
    annotations_since: int
    threshold: int
    gold_counted: int
    gold_needed: int


class RoundStarted(BaseModel):
    round: RoundOut
    job: RoundJob | None
    already_running: bool


def members(view: RoundView) -> dict[str, Any]:
    row = view.round
    return {
        **{name: getattr(row, name) for name in RoundOut.model_fields if hasattr(row, name)},
        "training_count": view.training_count,
        "partial_count": view.partial_count,
        "gold_count": view.gold_count,
        "gold_counted": row.metrics.get("gold", {}).get("counted"),
        "job": RoundJob.of(view.job) if view.job else None,
    }
