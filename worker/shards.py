"""A shard of a slide, 8×8 patches: read ahead, predicted in batches, judged by the selector.

It is read row by row of patches, so that the networks begin after the first row.

The selector compares pixels within a shard only, so a shard's result depends on nothing that
was computed before it: it is the same after a restart and when a viewport comes first.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any, TypeVar

import cv2
import numpy as np

from backend.kit.storage.pyramids import SHARD_PX, Channel, Pixels
from backend.learning.predictions.results import PatchScore
from backend.learning.predictions.service import SHARD_PATCHES
from backend.slides.patches.grid import PATCH_PX, Measured, analysis_region
from backend.slides.reading.reader import RegionUnreadable, SlideReader
from models import selection
from models.prediction import Prediction, Predictor

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = SHARD_PATCHES
"""Rows of patches that are read before they are needed: a slow disk may take a shard's time."""


@dataclass(frozen=True)
class Spot:
    """A patch by its id and its place on the grid."""

    patch_id: str
    row: int
    column: int


@dataclass(frozen=True)
class ShardPlan:
    """A shard and the patches in it, in grid order."""

    row: int
    column: int
    spots: tuple[Spot, ...]

    @property
    def place(self) -> tuple[int, int]:
        return self.row, self.column


@dataclass(frozen=True)
class Images:
    """The patches of a row that could be read, and why the others could not.

    pixels: uint8 (B, 256, 256, 3), one for each spot.
    """

    plan: ShardPlan
    spots: tuple[Spot, ...]
    pixels: Pixels
    unreadable: Mapping[str, dict[str, Any]]


@dataclass(frozen=True)
class PredictedShard:
    """A shard's rows as they were read, and what was predicted of them, batch by batch."""

    rows: Sequence[Images]
    batches: Sequence[Prediction]


@dataclass(frozen=True)
class ScoredShard:
    """A predicted shard: its three channels, uint8 (3, 2048, 2048), and its patches' scores."""

    place: tuple[int, int]
    channels: Pixels
    scores: tuple[PatchScore, ...]
    unreadable: Mapping[str, dict[str, Any]]


def plan(spots: Iterable[Spot]) -> list[ShardPlan]:
    """Group patches into shards, row by row of the slide."""

    def shard(spot: Spot) -> tuple[int, int]:
        return spot.row // SHARD_PATCHES, spot.column // SHARD_PATCHES

    ordered = sorted(spots, key=lambda spot: (*shard(spot), spot.row, spot.column))
    return [ShardPlan(*place, tuple(each)) for place, each in groupby(ordered, key=shard)]


def rows(plans: Iterable[ShardPlan]) -> list[ShardPlan]:
    """Cut shards into rows of patches: what is read at once."""
    return [
        replace(shard, spots=tuple(row))
        for shard in plans
        for _, row in groupby(shard.spots, key=lambda spot: spot.row)
    ]


def ahead(
    items: Iterable[Item], work: Callable[[Item], Result], depth: int = AHEAD
) -> Generator[Result, None, None]:
    """Yield work(item) in order, up to `depth` items ahead in another thread."""
    left = iter(items)
    coming: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        coming.extend(pool.submit(work, item) for item in islice(left, depth))
        while coming:
            result = coming.popleft().result()
            coming.extend(pool.submit(work, item) for item in islice(left, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def read_images(
    reader: SlideReader, slide: Measured, row: ShardPlan, analysis_mpp: float
) -> Images:
    """Read a row of patches in one go; if the file is damaged there, one by one."""
    top, left = row.spots[0].row, row.spots[0].column
    count = row.spots[-1].column - left + 1

    def box(column: int, count: int) -> Pixels:
        size = (count * PATCH_PX, PATCH_PX)
        region = analysis_region(slide, column * PATCH_PX, top * PATCH_PX, *size, analysis_mpp)
        return reader.read(region, size)

    unreadable: dict[str, dict[str, Any]] = {}
    try:
        whole = box(left, count).reshape(PATCH_PX, count, PATCH_PX, 3)
        images = [whole[:, spot.column - left] for spot in row.spots]
        readable = row.spots
    except RegionUnreadable:
        images, spots = [], []
        for spot in row.spots:
            try:
                images.append(box(spot.column, 1))
                spots.append(spot)
            except RegionUnreadable as error:
                unreadable[spot.patch_id] = {"code": error.problem_code, "detail": error.detail}
        readable = tuple(spots)
    pixels = np.stack(images) if images else np.empty((0, PATCH_PX, PATCH_PX, 3), np.uint8)
    return Images(row, readable, pixels, unreadable)


def predicted(
    predictor: Predictor, rows: Iterable[Images], between: Callable[[int], None]
) -> PredictedShard:
    """Predict a shard's rows as they come; `between` is told how many patches are done.

    It may raise, and then nothing more is predicted.
    """
    read: list[Images] = []
    parts: list[Prediction] = []
    done = 0
    for batch in batches(noted(rows, read), predictor.batch_size):
        parts.append(predictor(batch))
        done += len(batch)
        between(done)
    return PredictedShard(read, parts)


def noted(rows: Iterable[Images], read: list[Images]) -> Iterator[Pixels]:
    """Yield the rows' patches and note down what they came with."""
    for images in rows:
        read.append(images)
        yield images.pixels


def batches(rows: Iterable[Pixels], size: int) -> Iterator[Pixels]:
    """Yield patches in batches of `size`, across the rows; the last may be smaller."""
    waiting = np.empty((0, PATCH_PX, PATCH_PX, 3), np.uint8)
    for pixels in rows:
        waiting = np.concatenate([waiting, pixels])
        whole = len(waiting) // size * size
        yield from (waiting[start : start + size] for start in range(0, whole, size))
        waiting = waiting[whole:]
    if len(waiting):
        yield waiting


def scored_shard(shard: PredictedShard) -> ScoredShard:
    """Let the selector judge a shard; lay its patches out as the pyramid's channels."""
    plan = shard.rows[0].plan
    unreadable = {key: why for images in shard.rows for key, why in images.unreadable.items()}
    channels = np.zeros((len(Channel), SHARD_PX, SHARD_PX), np.uint8)
    if not shard.batches:
        return ScoredShard(plan.place, channels, (), unreadable)
    probability = np.concatenate([part.probability for part in shard.batches])
    students = np.concatenate([part.students for part in shard.batches], axis=1)
    flagged = selection.uncertain_pixels(probability, students)
    stored = selection.quantised(probability)
    spots = [spot for images in shard.rows for spot in images.spots]
    for index, spot in enumerate(spots):
        y = (spot.row % SHARD_PATCHES) * PATCH_PX
        x = (spot.column % SHARD_PATCHES) * PATCH_PX
        place = channels[:, y : y + PATCH_PX, x : x + PATCH_PX]
        place[Channel.PROBABILITY] = stored[index]
        place[Channel.UNCERTAINTY] = cv2.LUT(stored[index], ENTROPY)
        place[Channel.FLAGGED] = flagged[index] * np.uint8(255)
    scores = selection.patch_scores(stored, flagged)
    pictures = [picture for images in shard.rows for picture in images.pixels]
    features = selection.patch_features(pictures, scores.membrane_fraction)
    return ScoredShard(plan.place, channels, scored(spots, scores, features), unreadable)


def entropy_table() -> Pixels:
    """Return the binary entropy of each stored probability, 255 = one bit."""
    stored: Pixels = np.round(selection.ENTROPY_NATS / np.log(2) * 255).astype(np.uint8)
    return stored


ENTROPY = entropy_table()


def scored(
    spots: Sequence[Spot], scores: selection.PatchScores, features: selection.Float
) -> tuple[PatchScore, ...]:
    """Return the selector's figures of each patch."""
    return tuple(
        PatchScore(
            patch_id=spot.patch_id,
            flagged_fraction=float(scores.flagged_fraction[index]),
            entropy=float(scores.entropy[index]),
            membrane_fraction=float(scores.membrane_fraction[index]),
            score=float(scores.score[index]),
            descriptor=[float(value) for value in features[index]],
        )
        for index, spot in enumerate(spots)
    )
