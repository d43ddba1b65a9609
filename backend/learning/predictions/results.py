"""What the predict job writes: shards as they end, then the order of the patches.

Every function runs inside the job's fenced transactions and may run twice without harm.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.kit.db.base import now
from backend.kit.db.session import Database
from backend.kit.events.service import announce
from backend.kit.facts import tell
from backend.learning.predictions.facts import PredictionFinished
from backend.learning.predictions.tables import PatchPrediction, Prediction, PredictionShard
from backend.settings import Settings
from backend.slides.patches import in_grid_order
from backend.slides.patches import service as patches
from backend.slides.patches.tables import Patch, PatchState

QUEUED = (
    PatchState.UNREVIEWED,
    PatchState.PROPOSED,
    PatchState.IN_ANNOTATION,
    PatchState.PARTIAL,
    PatchState.RETURNED,
)
"""Patches in these states wait for a person, so they get a place in the queue."""
TOPIC = "proposals"


@dataclass(frozen=True)
class PatchScore:
    """The selector's figures of one patch; `descriptor` places it among the others."""

    patch_id: str
    flagged_fraction: float
    entropy: float
    membrane_fraction: float
    score: float
    descriptor: list[float]


@dataclass(frozen=True)
class Shard:
    """A finished shard: `unreadable` holds the problem of each patch that could not be read.

    computed_by: the predictor's backend with its version.
    """

    row: int
    column: int
    sha256: str
    scores: Sequence[PatchScore]
    unreadable: dict[str, dict[str, Any]]
    computed_by: str


@dataclass(frozen=True)
class Candidate:
    """A patch that may be queued, with what ranks it."""

    patch_id: str
    row: int
    column: int
    flagged_fraction: float
    entropy: float
    score: float
    descriptor: list[float]


@dataclass(frozen=True)
class Place:
    """A patch's place in the queue and why it has it."""

    patch_id: str
    rank: int
    reason: dict[str, Any]


def begin(
    session: Session, *, slide_id: str, model_version_id: str, shard_count: int, tiling: str
) -> Prediction:
    """Return the prediction of a slide by a model version, made on the first call.

    tiling: how the slide is cut into tiles now. A prediction that was begun otherwise and never
    finished begins anew, as its shards would not fit together; a finished one stays as it is.
    """
    same = select(Prediction).where(
        Prediction.slide_id == slide_id, Prediction.model_version_id == model_version_id
    )
    if known := session.scalar(same):
        if known.finished_at is None:
            forget_other_tilings(session, known, tiling)
        return known
    try:
        with session.begin_nested():
            prediction = Prediction(
                slide_id=slide_id, model_version_id=model_version_id, shard_count=shard_count
            )
            session.add(prediction)
    except IntegrityError:
        return session.scalars(same).one()
    return prediction


def forget_other_tilings(session: Session, prediction: Prediction, tiling: str) -> None:
    """Drop all that was computed of a prediction if any of it was cut otherwise."""
    computed_by = session.scalars(
        select(PredictionShard.computed_by).where(PredictionShard.prediction_id == prediction.id)
    )
    if any(each is None or not each.endswith(tiling) for each in computed_by):
        for table in (PatchPrediction, PredictionShard):
            session.execute(delete(table).where(table.prediction_id == prediction.id))


def finished_shards(session: Session, prediction_id: str) -> dict[tuple[int, int], str]:
    """Return the hashes of the finished shards by (row, column)."""
    rows = session.execute(
        select(PredictionShard.row, PredictionShard.column, PredictionShard.sha256).where(
            PredictionShard.prediction_id == prediction_id
        )
    )
    return {(row, column): sha256 for row, column, sha256 in rows}


def record_shard(session: Session, prediction_id: str, shard: Shard) -> bool:
    """Write a shard's rows, all or none; False if another job has finished it meanwhile.

    A prediction that was forgotten meanwhile (the slide's grid changed) raises NoResultFound: the
    job is tried again, on what is there then.
    """
    session.get_one(Prediction, prediction_id)
    try:
        with session.begin_nested():
            session.execute(
                insert(PredictionShard).values(
                    prediction_id=prediction_id,
                    row=shard.row,
                    column=shard.column,
                    sha256=shard.sha256,
                    computed_by=shard.computed_by,
                )
            )
    except IntegrityError:
        return False
    if shard.scores:
        session.execute(
            insert(PatchPrediction),
            [
                {"prediction_id": prediction_id, "rank": None, "reason": None, **vars(score)}
                for score in shard.scores
            ],
        )
    patches.propose(session, [score.patch_id for score in shard.scores])
    patches.note_unreadable(session, shard.unreadable)
    return True


def seen_patches(database: Database, prediction_id: str) -> Iterator[RowMapping]:
    """Yield the patches that a prediction has seen by now: which, and where they lie."""
    statement = (
        select(*in_grid_order.PLACE)
        .join(PatchPrediction, PatchPrediction.patch_id == Patch.id)
        .where(PatchPrediction.prediction_id == prediction_id)
    )
    return in_grid_order.rows(database, statement)


def candidates(session: Session, prediction_id: str) -> list[Candidate]:
    """Return the patches that wait for a person, in grid order: no id or time decides a rank."""
    rows = session.execute(
        select(
            Patch.id,
            Patch.row,
            Patch.column,
            PatchPrediction.flagged_fraction,
            PatchPrediction.entropy,
            PatchPrediction.score,
            PatchPrediction.descriptor,
        )
        .join(PatchPrediction, PatchPrediction.patch_id == Patch.id)
        .where(
            PatchPrediction.prediction_id == prediction_id,
            Patch.state.in_(QUEUED),
            Patch.problem.is_(None),
        )
        .order_by(Patch.row, Patch.column)
    )
    return [Candidate(*row) for row in rows]


def rank(session: Session, prediction_id: str, places: Sequence[Place]) -> None:
    """Write the queue's order and its reasons; what is not named has no place."""
    session.execute(
        update(PatchPrediction)
        .where(PatchPrediction.prediction_id == prediction_id)
        .values(rank=None, reason=None)
    )
    if places:
        session.execute(
            update(PatchPrediction),
            [{"prediction_id": prediction_id, **vars(place)} for place in places],
        )


def finish(session: Session, settings: Settings, prediction: Prediction) -> None:
    """Mark a prediction whole and give it its hash: that of its shards', row by row."""
    session.get_one(Prediction, prediction.id)
    shards = finished_shards(session, prediction.id)
    text = "".join(shards[place] for place in sorted(shards))
    session.execute(
        update(Prediction)
        .where(Prediction.id == prediction.id)
        .values(finished_at=now(), sha256=hashlib.sha256(text.encode()).hexdigest())
    )
    fact = PredictionFinished(prediction.slide_id, prediction.model_version_id)
    tell(session, settings, fact)


def announce_proposals(session: Session, prediction: Prediction, *, finished: bool) -> None:
    """Tell the browsers that there is more to see of a slide."""
    data = {
        "slide_id": prediction.slide_id,
        "model_version_id": prediction.model_version_id,
        "finished": finished,
    }
    announce(session, TOPIC, prediction.slide_id, data)
