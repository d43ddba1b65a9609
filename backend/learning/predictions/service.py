"""Predictions: asked for, and found again. What the worker writes is in results.py."""

import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Select, case, delete, func, select
from sqlalchemy.orm import Session

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.repeats import IdempotencyKey
from backend.jobs.tables import Job
from backend.kit.db.outbox import after_commit
from backend.kit.errors import Conflict, NotFound, Unprocessable
from backend.kit.facts import on
from backend.kit.geometry import Region0
from backend.kit.storage import pyramids
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.facts import ModelActivated
from backend.learning.model_versions.tables import ModelVersion, ModelVersionState
from backend.learning.predictions.tables import PatchPrediction, Prediction, PredictionShard
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.grid import PATCH_PX, analysis_size, measures, scale

SHARD_PATCHES = pyramids.SHARD_PX // PATCH_PX
"""Patches along one side of a shard."""
UNTRAINED = (ModelVersionState.TRAINING, ModelVersionState.FAILED)


class BoxOutside(Unprocessable):
    code, title = "box_outside", "The box is not on the slide"


class ModelVersionUntrained(Conflict):
    code, title = "model_version_untrained", "This model version has no weights"


class NoPrediction(NotFound):
    code, title = "no_prediction", "No model version has seen this yet"


@dataclass(frozen=True)
class ShardRange:
    """Shards of a viewport, last row and column included."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int

    def __str__(self) -> str:
        return f"{self.first_row}-{self.last_row},{self.first_column}-{self.last_column}"

    def __contains__(self, place: tuple[int, int]) -> bool:
        row, column = place
        return (
            self.first_row <= row <= self.last_row
            and self.first_column <= column <= self.last_column
        )

    @classmethod
    def from_text(cls, text: str) -> "ShardRange":
        rows, columns = text.split(",")
        return cls(*map(int, rows.split("-")), *map(int, columns.split("-")))


def request(
    session: Session,
    settings: Settings,
    slide_id: str,
    *,
    model_version_id: str | None = None,
    box: Region0 | None = None,
    requested_by: str | None = None,
    idempotency_key: IdempotencyKey | None = None,
) -> Job:
    """Ask for a slide, or the shards under a level-0 box of it, to be predicted.

    The job's subject begins with the slide's id. Work that is queued or running already is
    returned and not asked for twice; shards that are finished are never computed again.
    """
    slide = slides.get(session, slide_id)
    version = (
        model_versions.get(session, model_version_id)
        if model_version_id
        else model_versions.active(session)
    )
    require_trained(version)
    subject = subject_of(slide_id, version)
    if box is None:
        kind, params = JobKind.PREDICT, {}
    else:
        shards = str(shards_under(slide, box, settings.analysis_mpp))
        kind, params = JobKind.PREDICT_VIEWPORT, {"shards": shards}
        subject = f"{subject}:{shards}"
    return jobs.enqueue(
        session,
        settings,
        kind,
        subject,
        params=params,
        requested_by=requested_by,
        idempotency_key=idempotency_key,
    )


@on(ModelActivated)
def predict_again(session: Session, settings: Settings, fact: ModelActivated) -> None:
    """Ask for every ready slide at once, as `request` does for each; masks stay as they are."""
    version = model_versions.get(session, fact.model_version_id)
    require_trained(version)
    subjects = [subject_of(each, version) for each in sorted(session.scalars(slides.ready()))]
    jobs.enqueue_all(session, settings, JobKind.PREDICT, subjects, requested_by=fact.requested_by)


def require_trained(version: ModelVersion) -> None:
    if version.state in UNTRAINED:
        raise ModelVersionUntrained(f"{version.name} is {version.state}: it can't predict.")


def subject_of(slide_id: str, version: ModelVersion) -> str:
    return f"{slide_id}:{version.id}"


def newest_job(session: Session, slide_id: str, model_version_id: str | None = None) -> Job | None:
    """Return the job that predicts a whole slide, by a model version or by any.

    One that is going on goes before one that has ended, then the newest.
    """
    return jobs.newest_of(session, JobKind.PREDICT, f"{slide_id}:{model_version_id or ''}")


def require_measured(slide: Slide) -> None:
    if slide.state not in slides.VISIBLE or slide.width is None or slide.mpp is None:
        raise slides.SlideNotVisible("The slide is not read yet, or could not be read.")


def shards_under(slide: Slide, box: Region0, analysis_mpp: float) -> ShardRange:
    """Return the shards that a level-0 box touches; raise BoxOutside if it touches none."""
    require_measured(slide)
    width, height, mpp = measures(slide)
    if box.width <= 0 or box.height <= 0 or not box.intersects(Region0(0, 0, width, height)):
        raise BoxOutside(f"The slide is {width} × {height} px; ask for a part of that.")
    shrunk = box.scaled(1 / scale(mpp, analysis_mpp))
    columns, rows = (
        math.ceil(side / pyramids.SHARD_PX) for side in analysis_size(slide, analysis_mpp)
    )

    def span(start: float, end: float, count: int) -> tuple[int, int]:
        first = math.floor(max(start, 0) / pyramids.SHARD_PX)
        last = math.ceil(end / pyramids.SHARD_PX) - 1
        return min(first, count - 1), min(max(last, first), count - 1)

    return ShardRange(*span(shrunk.y, shrunk.bottom, rows), *span(shrunk.x, shrunk.right, columns))


def best_first(prediction: Prediction, state: ModelVersionState) -> tuple[bool, bool, str]:
    """Sort key, largest first: the active version's if it is whole, else the newest whole one."""
    whole = prediction.finished_at is not None
    return whole, state == ModelVersionState.ACTIVE, prediction.id


def shown_on(slides: Select[str]) -> Select[str]:
    """Select the prediction that people see of each slide: what `shown` returns of one.

    slides: the statement of their ids, never a list of them, which a database would not take.
    """
    best = (Prediction.finished_at.is_not(None), ModelVersion.state == ModelVersionState.ACTIVE)
    ranked = (
        select(
            Prediction.id,
            func.row_number()
            .over(
                partition_by=Prediction.slide_id,
                order_by=[*(case((each, 0), else_=1) for each in best), Prediction.id.desc()],
            )
            .label("place"),
        )
        .join(ModelVersion, Prediction.model_version_id == ModelVersion.id)
        .where(Prediction.slide_id.in_(slides))
        .subquery()
    )
    return select(ranked.c.id).where(ranked.c.place == 1)


def shown(session: Session, slide_id: str) -> Prediction | None:
    """Return the prediction that people see of a slide.

    While a new model version works its way through, the last whole prediction stays.
    """
    rows = session.execute(
        select(Prediction, ModelVersion.state)
        .join(ModelVersion, Prediction.model_version_id == ModelVersion.id)
        .where(Prediction.slide_id == slide_id)
    ).all()
    best = max(rows, key=lambda row: best_first(*row), default=None)
    return best[0] if best else None


def of_version(session: Session, slide_id: str, model_version_id: str) -> Prediction | None:
    model_versions.get(session, model_version_id)
    return session.scalar(
        select(Prediction).where(
            Prediction.slide_id == slide_id, Prediction.model_version_id == model_version_id
        )
    )


def of_patch(
    session: Session, patch_id: str, model_version_id: str | None = None
) -> tuple[PatchPrediction, Prediction] | None:
    """Return what a model version says of a patch; without one, the version whose prediction
    people see of the slide: a patch shows no other model's word than the overlays and the queue.
    """
    statement = (
        select(PatchPrediction, Prediction, ModelVersion.state)
        .join(Prediction, PatchPrediction.prediction_id == Prediction.id)
        .join(ModelVersion, Prediction.model_version_id == ModelVersion.id)
        .where(PatchPrediction.patch_id == patch_id)
    )
    if model_version_id is not None:
        model_versions.get(session, model_version_id)
        statement = statement.where(Prediction.model_version_id == model_version_id)
    rows = session.execute(statement).all()
    if not rows:
        return None
    if model_version_id is None:
        visible = shown(session, rows[0][1].slide_id)
        rows = [row for row in rows if visible is not None and row[1].id == visible.id]
    return (rows[0][0], rows[0][1]) if rows else None


def proposing(session: Session, patch_id: str, *, first: str | None, most: int) -> list[Prediction]:
    """Return the predictions that hold a proposal of a patch, at most `most` of them.

    first: a model version whose prediction comes first, then the one that people see by
    themselves, then the others, newest first.
    """
    if first is not None:
        model_versions.get(session, first)
    rows = session.execute(
        select(Prediction, ModelVersion.state)
        .join(PatchPrediction, PatchPrediction.prediction_id == Prediction.id)
        .join(ModelVersion, Prediction.model_version_id == ModelVersion.id)
        .where(PatchPrediction.patch_id == patch_id)
    ).all()
    best = sorted(rows, key=lambda row: best_first(*row), reverse=True)
    best.sort(key=lambda row: row[0].model_version_id != first)
    return [prediction for prediction, _ in best[:most]]


def scores_of(
    session: Session, prediction_id: str, patch_ids: Sequence[str]
) -> dict[str, PatchPrediction]:
    rows = session.scalars(
        select(PatchPrediction).where(
            PatchPrediction.prediction_id == prediction_id,
            PatchPrediction.patch_id.in_(patch_ids),
        )
    )
    return {row.patch_id: row for row in rows}


def model_names(session: Session, predictions: Iterable[Prediction]) -> dict[str, str]:
    """Return the names of the model versions behind predictions, by version id."""
    ids = {prediction.model_version_id for prediction in predictions}
    rows = session.execute(
        select(ModelVersion.id, ModelVersion.name).where(ModelVersion.id.in_(ids))
    )
    return {version_id: name for version_id, name in rows}  # noqa: C416  (rows are not tuples)


def shard_sha256(session: Session, prediction_id: str, row: int, column: int) -> str | None:
    """Return the hash of a finished shard."""
    return session.scalar(
        select(PredictionShard.sha256).where(
            PredictionShard.prediction_id == prediction_id,
            PredictionShard.row == row,
            PredictionShard.column == column,
        )
    )


def computed_by(session: Session, prediction_id: str) -> list[str]:
    """Return what computed a prediction: libraries, versions and precisions, each once."""
    backends = session.scalars(
        select(PredictionShard.computed_by)
        .where(
            PredictionShard.prediction_id == prediction_id,
            PredictionShard.computed_by.is_not(None),
        )
        .distinct()
    )
    return sorted(str(each) for each in backends)


def shard_count(session: Session, prediction_id: str) -> int:
    """Return how many shards are finished: it only grows, so it tells a cache what is new."""
    counted = session.scalar(
        select(func.count())
        .select_from(PredictionShard)
        .where(PredictionShard.prediction_id == prediction_id)
    )
    return counted or 0


def pyramid_of(slide: Slide, prediction: Prediction, settings: Settings) -> pyramids.Pyramid:
    """Open what a prediction wrote; raise NoPrediction if its files are gone."""
    folder = pyramids.folder_of(settings.pyramid_folder, slide.sha256, prediction.model_version_id)
    try:
        return pyramids.opened(folder)
    except FileNotFoundError:
        raise NoPrediction("The prediction's files are not on the server's disk.") from None


def forget(session: Session, slide: Slide, settings: Settings) -> None:
    """Drop all predictions of a slide, whose grid is about to change; files go after the commit."""
    session.execute(delete(Prediction).where(Prediction.slide_id == slide.id))
    folder = settings.pyramid_folder / slide.sha256
    after_commit(session, partial(shutil.rmtree, folder, ignore_errors=True))
