"""Predict a slide, or the part a person looks at, shard by shard; then order the patches.

Pixels first, rows second: a shard counts when its row is there, and then it is never computed
again, unless it lies edge to edge in a prediction that was never finished. A model version that is
retired meanwhile is still finished: its shards are cheap, and two versions can be compared only
where both have seen the slide. What people drew is not touched.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import numpy as np
from sqlalchemy import select

from backend.job_kinds import JobKind
from backend.kit.storage import pyramids
from backend.kit.storage.pyramids import Pyramid
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelVersion
from backend.learning.predictions import results
from backend.learning.predictions.results import Place, Shard
from backend.learning.predictions.service import ShardRange
from backend.learning.predictions.tables import Prediction
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.grid import analysis_size
from backend.slides.patches.tables import Patch
from backend.slides.reading.reader import SlideReader, open_slide
from models import selection
from models.prediction import Predictor
from models.tiling import BLENDED, Layout, Tile, Tiling
from worker import shards
from worker.context import JobContext
from worker.predictors import predictor_for
from worker.shards import PredictedShard, ScoredShard, ShardPlan, Spot, Step, TilePixels
from worker.tiles import Blending, read_tile


@dataclass(frozen=True)
class Work:
    """What one job has to do: the shards that are wanted and not finished."""

    slide: Slide
    version: ModelVersion
    prediction: Prediction
    wanted: list[ShardPlan]


def run(context: JobContext) -> None:
    work = prepare(context)
    width, height = analysis_size(work.slide, context.settings.analysis_mpp)
    pyramid = pyramids.create(
        pyramids.folder_of(context.settings.pyramid_folder, work.slide.sha256, work.version.id),
        (width, height),
        context.settings.analysis_mpp,
    )
    if work.wanted:
        predict(context, work, pyramid)
    if context.kind == JobKind.PREDICT_VIEWPORT:
        with context.finishing() as session:
            results.announce_proposals(session, work.prediction, finished=False)
        return
    pyramid.build_coarse_levels()
    order(context, work)


def prepare(context: JobContext) -> Work:
    slide_id, version_id = context.subject.split(":")[:2]
    with context.reading() as session:
        slide = slides.get(session, slide_id)
        version = model_versions.get(session, version_id)
        # a patch that ingest could not read has no pixels to predict
        rows = session.execute(
            select(Patch.id, Patch.row, Patch.column).where(
                Patch.slide_id == slide_id, Patch.problem.is_(None)
            )
        )
        plans = shards.plan(Spot(*row) for row in rows)
    with context.writing() as session:
        prediction = results.begin(
            session,
            slide_id=slide_id,
            model_version_id=version_id,
            shard_count=len(plans),
            tiling=BLENDED.name,
        )
        finished = results.finished_shards(session, prediction.id)
    wanted = [each for each in plans if each.place not in finished]
    if text := context.params.get("shards"):
        wanted = [each for each in wanted if each.place in ShardRange.from_text(text)]
    return Work(slide, version, prediction, wanted)


def predict(context: JobContext, work: Work, pyramid: Pyramid, tiling: Tiling = BLENDED) -> None:
    """Read, predict and write at the same time: some tiles ahead, one shard behind."""
    predictor = predictor_for(context, work.version)
    layout = Layout(*analysis_size(work.slide, context.settings.analysis_mpp), tiling)
    steps = shards.steps(work.wanted, layout)
    blending = Blending(predictor, layout, steps)
    total = sum(len(each.spots) for each in work.wanted)
    done = 0

    def finish(shard: PredictedShard) -> None:
        scored = shards.scored_shard(shard, context.settings.doubt)
        keep(context, work, pyramid, scored, computed_by=described(predictor, tiling))

    with (
        closing(open_slide(work.slide, context.settings)) as reader,
        closing(
            shards.ahead(
                [(step, tile) for step in steps for tile in step.tiles],
                reading_from(reader, context, work, layout),
            )
        ) as stream,
        Behind() as behind,
    ):

        def between(patches_here: int) -> None:
            context.check()
            patches = done + patches_here
            behind.report(context.progress, patches / (total + 1), f"{patches} of {total} patches")

        for step, (_, tiles) in zip(steps, groupby(stream, key=place_of), strict=True):
            context.check()
            behind.write(finish, blending.predicted(tiles, between))
            done += len(step.plan.spots)
        behind.wait()


def place_of(read: TilePixels) -> tuple[int, int]:
    """Return the shard that a tile was read for."""
    return read.step.plan.place


def described(predictor: Predictor, tiling: Tiling) -> str:
    """Return what a shard was computed by: the last bits of its masks hang on it."""
    return f"{predictor.backend}, {tiling.name}"


class Behind:
    """The thread behind the networks. What fails there is raised here, at the next call."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._writing: Future[None] | None = None
        self._reporting: Future[None] | None = None

    def write(self, work: Callable[[PredictedShard], None], shard: PredictedShard) -> None:
        """Start writing a shard once the one before is written: memory holds two at most."""
        self.wait()
        self._writing = self._pool.submit(work, shard)

    def wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def report(self, work: Callable[[float, str], None], fraction: float, message: str) -> None:
        """Report progress, unless the last report still waits for its turn or for the disk."""
        if self._reporting is None or self._reporting.done():
            if self._reporting is not None:
                self._reporting.result()
            self._reporting = self._pool.submit(work, fraction, message)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


def reading_from(
    reader: SlideReader, context: JobContext, work: Work, layout: Layout
) -> Callable[[tuple[Step, Tile]], TilePixels]:
    def read(each: tuple[Step, Tile]) -> TilePixels:
        return read_tile(reader, work.slide, *each, layout, context.settings.analysis_mpp)

    return read


def keep(
    context: JobContext, work: Work, pyramid: Pyramid, shard: ScoredShard, *, computed_by: str
) -> None:
    """Write a shard's pixels, then in one fenced transaction its rows."""
    row, column = shard.place
    sha256 = pyramid.write_shard(row, column, shard.channels)
    with context.writing() as session:
        results.record_shard(
            session,
            work.prediction.id,
            Shard(row, column, sha256, shard.scores, dict(shard.unreadable), computed_by),
        )


def order(context: JobContext, work: Work) -> None:
    """Rank the patches that wait for a person, and end the job."""
    with context.reading() as session:
        candidates = results.candidates(session, work.prediction.id)
    # No cap here: a job ranks one slide, and who would be cut off is to be had further down. The
    # cap on a slide is in the queue (patches/queue.py), where slides take turns rank by rank.
    ranked = selection.rank(
        candidates,
        np.array([each.descriptor for each in candidates], np.float32),
        [work.slide.id] * len(candidates),
        cap=max(1, len(candidates)),
        seed=context.settings.round_seed,
    )
    # by which doubt the order came about: the setting may change
    doubt = context.settings.doubt
    places = [
        Place(candidates[each.index].patch_id, rank, {**each.reason, "doubt": doubt})
        for rank, each in enumerate(ranked, start=1)
    ]
    with context.finishing() as session:
        results.rank(session, work.prediction.id, places)
        results.finish(session, context.settings, work.prediction)
        results.announce_proposals(session, work.prediction, finished=True)
