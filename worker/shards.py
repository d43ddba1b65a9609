"""A shard of a slide, 8×8 patches: its tiles read ahead, predicted, blended, judged.

Tiles are those of the whole slide (models/tiling.py), some of which begin in a shard to the left or
above: what they say here is kept from there, or they are predicted once more.

The selector compares pixels within a shard only, so a shard's result depends on nothing that
was computed before it: it is the same after a restart and when a viewport comes first.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, TypeVar

import cv2
import numpy as np

from backend.kit.storage.pyramids import SHARD_PX, Channel, Pixels
from backend.learning.predictions.results import PatchScore
from backend.learning.predictions.service import SHARD_PATCHES
from backend.slides.patches.grid import PATCH_PX
from models import areas, selection
from models.areas import Doubt
from models.prediction import Prediction
from models.tiling import Box, Layout, Tile

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 4
"""Tiles that are read before they are needed: a slow disk may take a shard's time."""


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
class Step:
    """What is done for one shard: `blended_of` these tiles, of which `tiles` are predicted now."""

    plan: ShardPlan
    tiles: tuple[Tile, ...]
    blended_of: tuple[Tile, ...]


@dataclass(frozen=True)
class TilePixels:
    """A tile as it was read for a step.

    pixels: uint8 (H, W, 3) of its box; glass where it could not be read. `patches`: the pixels of
    each of the shard's patches in it that could be read, by id; `unreadable`: why others could not.
    """

    step: Step
    tile: Tile
    pixels: Pixels
    patches: Mapping[str, Pixels]
    unreadable: Mapping[str, dict[str, Any]]


@dataclass(frozen=True)
class PredictedShard:
    """A shard's patches that could be read, in grid order, with their pixels and prediction."""

    plan: ShardPlan
    spots: Sequence[Spot]
    pictures: Sequence[Pixels]
    prediction: Prediction | None
    unreadable: Mapping[str, dict[str, Any]]


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


def steps(plans: Sequence[ShardPlan], layout: Layout) -> list[Step]:
    """Return what is done for each shard, in their order; no tile is predicted twice."""
    known: set[Tile] = set()
    planned = []
    for shard in plans:
        needed = {home(spot, layout) for spot in shard.spots}
        for spot in shard.spots:
            needed.update(layout.touching(on_slide(patch_box(spot), layout)))
        planned.append(Step(shard, tuple(sorted(needed - known)), tuple(sorted(needed))))
        known |= needed
    return planned


def home(spot: Spot, layout: Layout) -> Tile:
    """Return the tile that a patch's pixels are read with: the patch lies whole in its middle."""
    patches = layout.tiling.step // PATCH_PX
    return Tile(spot.row // patches, spot.column // patches)


def patch_box(spot: Spot) -> Box:
    return Box(spot.row * PATCH_PX, spot.column * PATCH_PX, PATCH_PX, PATCH_PX)


def on_slide(box: Box, layout: Layout) -> Box:
    return box.common(Box(0, 0, layout.height, layout.width))


def shard_box(shard: ShardPlan, layout: Layout) -> Box:
    """Return the part of a shard that lies on the slide."""
    return on_slide(Box(shard.row * SHARD_PX, shard.column * SHARD_PX, SHARD_PX, SHARD_PX), layout)


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


def scored_shard(shard: PredictedShard, doubt: Doubt = "entropy") -> ScoredShard:
    """Find a shard's areas worth a look; lay its patches out as the pyramid's channels."""
    place, spots, prediction = shard.plan.place, shard.spots, shard.prediction
    channels = np.zeros((len(Channel), SHARD_PX, SHARD_PX), np.uint8)
    if prediction is None:
        return ScoredShard(place, channels, (), shard.unreadable)
    flagged = areas.worth_a_look(prediction.probability, prediction.students, doubt)
    stored = selection.quantised(prediction.probability)
    for index, spot in enumerate(spots):
        y = (spot.row % SHARD_PATCHES) * PATCH_PX
        x = (spot.column % SHARD_PATCHES) * PATCH_PX
        planes = channels[:, y : y + PATCH_PX, x : x + PATCH_PX]
        planes[Channel.PROBABILITY] = stored[index]
        planes[Channel.UNCERTAINTY] = cv2.LUT(stored[index], ENTROPY)
        planes[Channel.FLAGGED] = flagged[index] * np.uint8(255)
    scores = selection.patch_scores(stored, flagged)
    features = selection.patch_features(shard.pictures, scores.membrane_fraction)
    return ScoredShard(place, channels, scored(spots, scores, features), shard.unreadable)


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
