"""A shard of a slide, 8×8 patches: read ahead, predicted in batches, judged by the selector.

The selector compares pixels within a shard only, so a shard's result depends on nothing that
was computed before it: it is the same after a restart and when a viewport comes first.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from backend.patches.grid import PATCH_PX, Measured, analysis_region
from backend.predictions.results import PatchScore
from backend.predictions.service import SHARD_PATCHES
from backend.slides.reader import RegionUnreadable, SlideReader
from backend.storage.pyramids import SHARD_PX, Channel, Pixels
from models import selection
from models.prediction import Prediction, Predictor

Item = TypeVar("Item")
Result = TypeVar("Result")


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
    """The patches of a shard that could be read, and why the others could not.

    pixels: uint8 (B, 256, 256, 3), one for each spot.
    """

    plan: ShardPlan
    spots: tuple[Spot, ...]
    pixels: Pixels
    unreadable: Mapping[str, dict[str, Any]]


@dataclass(frozen=True)
class Judged:
    """A predicted shard: its three channels, uint8 (3, 2048, 2048), and its patches' scores."""

    plan: ShardPlan
    channels: Pixels
    scores: tuple[PatchScore, ...]
    unreadable: Mapping[str, dict[str, Any]]


def plan(spots: Iterable[Spot]) -> list[ShardPlan]:
    """Group patches into shards, row by row of the slide."""

    def shard(spot: Spot) -> tuple[int, int]:
        return spot.row // SHARD_PATCHES, spot.column // SHARD_PATCHES

    ordered = sorted(spots, key=lambda spot: (*shard(spot), spot.row, spot.column))
    return [ShardPlan(*place, tuple(each)) for place, each in groupby(ordered, key=shard)]


def ahead(items: Sequence[Item], work: Callable[[Item], Result]) -> Generator[Result, None, None]:
    """Yield work(item) in order, always one item ahead in another thread."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = [pool.submit(work, item) for item in items[:1]]
        for index in range(len(items)):
            result = coming.pop().result()
            if index + 1 < len(items):
                coming.append(pool.submit(work, items[index + 1]))
            yield result


def read_images(
    reader: SlideReader, slide: Measured, shard: ShardPlan, analysis_mpp: float
) -> Images:
    """Read a shard's patches in one go; if the file is damaged there, one by one."""
    rows = [spot.row for spot in shard.spots]
    columns = [spot.column for spot in shard.spots]
    top, left = min(rows), min(columns)
    height, width = (max(rows) - top + 1) * PATCH_PX, (max(columns) - left + 1) * PATCH_PX

    def box(x: int, y: int, width: int, height: int) -> Pixels:
        region = analysis_region(slide, x, y, width, height, analysis_mpp)
        return reader.read(region, (width, height))

    unreadable: dict[str, dict[str, Any]] = {}
    try:
        whole = box(left * PATCH_PX, top * PATCH_PX, width, height)
        images = [
            whole[
                (spot.row - top) * PATCH_PX : (spot.row - top + 1) * PATCH_PX,
                (spot.column - left) * PATCH_PX : (spot.column - left + 1) * PATCH_PX,
            ]
            for spot in shard.spots
        ]
        readable = shard.spots
    except RegionUnreadable:
        images, found = [], []
        for spot in shard.spots:
            try:
                images.append(box(spot.column * PATCH_PX, spot.row * PATCH_PX, PATCH_PX, PATCH_PX))
                found.append(spot)
            except RegionUnreadable as error:
                unreadable[spot.patch_id] = {"code": error.problem_code, "detail": error.detail}
        readable = tuple(found)
    pixels = np.stack(images) if images else np.empty((0, PATCH_PX, PATCH_PX, 3), np.uint8)
    return Images(shard, readable, pixels, unreadable)


def predicted(
    predictor: Predictor, images: Images, between: Callable[[int], None]
) -> Prediction | None:
    """Predict a shard's patches; `between` is told how many are done and may raise."""
    count = len(images.spots)
    parts: list[Prediction] = []
    for start in range(0, count, predictor.batch_size):
        part = predictor(images.pixels[start : start + predictor.batch_size])
        parts.append(part)
        between(min(start + predictor.batch_size, count))
    if not parts:
        return None
    return Prediction(
        probability=np.concatenate([part.probability for part in parts]),
        students=np.concatenate([part.students for part in parts], axis=1),
    )


def judged(images: Images, prediction: Prediction | None) -> Judged:
    """Let the selector judge a shard; lay its patches out as the pyramid's channels."""
    channels = np.zeros((len(Channel), SHARD_PX, SHARD_PX), np.uint8)
    if prediction is None:
        return Judged(images.plan, channels, (), images.unreadable)
    flagged = selection.uncertain_pixels(prediction.probability, prediction.students)
    stored = quantised(prediction.probability)
    layers = (stored, ENTROPY[stored], flagged.astype(np.uint8) * 255)
    for index, spot in enumerate(images.spots):
        y = (spot.row % SHARD_PATCHES) * PATCH_PX
        x = (spot.column % SHARD_PATCHES) * PATCH_PX
        for channel, layer in zip(Channel, layers, strict=True):
            channels[channel, y : y + PATCH_PX, x : x + PATCH_PX] = layer[index]
    return Judged(images.plan, channels, scored(images, prediction, flagged), images.unreadable)


def quantised(probability: npt.NDArray[np.float32]) -> Pixels:
    """Return probabilities as 0–255, rounded half up, so that 0.5 stays on membrane's side."""
    stored: Pixels = np.floor(probability * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return stored


def entropy_table() -> Pixels:
    """Return the binary entropy of each stored probability, 255 = one bit."""
    p = np.clip(np.arange(256) / 255, 1e-9, 1 - 1e-9)
    bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return np.round(bits * 255).astype(np.uint8)


ENTROPY = entropy_table()


def scored(
    images: Images, prediction: Prediction, flagged: npt.NDArray[np.bool_]
) -> tuple[PatchScore, ...]:
    """Return the selector's figures of each patch."""
    scores = selection.patch_scores(prediction.probability, flagged)
    # every fourth pixel tells a patch's colours as well as all of them, in a quarter of the time
    features = selection.patch_features(images.pixels[:, ::2, ::2], prediction.probability)
    return tuple(
        PatchScore(
            patch_id=spot.patch_id,
            flagged_fraction=float(scores.flagged_fraction[index]),
            entropy=float(scores.entropy[index]),
            membrane_fraction=float(scores.membrane_fraction[index]),
            score=float(scores.score[index]),
            descriptor=[float(value) for value in features[index]],
        )
        for index, spot in enumerate(images.spots)
    )
