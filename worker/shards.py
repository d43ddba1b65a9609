"""A shard of a slide, 8×8 patches: its tiles read ahead, predicted, blended, judged.

Tiles are those of the whole slide (models/tiling.py), some of which begin in a shard to the left or
above: what they say here is kept from there, or they are predicted once more.

The selector compares pixels within a shard only, so a shard's result depends on nothing that
was computed before it: it is the same after a restart and when a viewport comes first.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, TypeVar

import cv2
import numpy as np

from backend.kit.storage.pyramids import SHARD_PX, Channel, Pixels
from backend.learning.predictions.results import PatchScore
from backend.learning.predictions.service import SHARD_PATCHES
from backend.slides.patches.grid import PATCH_PX, Measured, analysis_region
from backend.slides.reading.reader import GLASS, RegionUnreadable, SlideReader
from models import selection
from models.blending import Piece, batched, blended
from models.prediction import Prediction, Predictor
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
    found = []
    for shard in plans:
        needed = {
            tile
            for spot in shard.spots
            for tile in layout.touching(on_slide(patch_box(spot), layout))
        }
        found.append(Step(shard, tuple(sorted(needed - known)), tuple(sorted(needed))))
        known |= needed
    return found


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


def read_tile(
    reader: SlideReader, slide: Measured, step: Step, tile: Tile, layout: Layout, mpp: float
) -> TilePixels:
    """Read a tile in one go; if the file is damaged there, patch by patch.

    The slide's own pixels are read wherever there are any, of patches or not.
    """
    box = layout.box(tile)
    core = Box(box.top, box.left, *(layout.tiling.step,) * 2)
    inside = [spot for spot in step.plan.spots if patch_box(spot).common(core).height]
    inside = [spot for spot in inside if patch_box(spot).common(core).width]

    def read(part: Box) -> Pixels:
        region = analysis_region(slide, part.left, part.top, part.width, part.height, mpp)
        return reader.read(region, (part.width, part.height))

    failed: dict[tuple[int, int], dict[str, Any]] = {}
    try:
        pixels = read(box)
    except RegionUnreadable:
        pixels = np.full((box.height, box.width, 3), GLASS, np.uint8)
        for place, part in cells(box):
            try:
                pixels[part.within(box)] = read(part)
            except RegionUnreadable as error:
                failed[place] = {"code": error.problem_code, "detail": error.detail}
    unreadable = {
        spot.patch_id: failed[spot.row, spot.column]
        for spot in inside
        if (spot.row, spot.column) in failed
    }
    patches = {
        spot.patch_id: over_glass(pixels, box, patch_box(spot))
        for spot in inside
        if spot.patch_id not in unreadable
    }
    return TilePixels(step, tile, pixels, patches, unreadable)


def cells(box: Box) -> Iterator[tuple[tuple[int, int], Box]]:
    """Yield the parts of a box that lie in each of the grid's patches, by (row, column)."""
    for row in range(box.top // PATCH_PX, -(-box.bottom // PATCH_PX)):
        for column in range(box.left // PATCH_PX, -(-box.right // PATCH_PX)):
            patch = Box(row * PATCH_PX, column * PATCH_PX, PATCH_PX, PATCH_PX)
            yield (row, column), patch.common(box)


def over_glass(pixels: Pixels, box: Box, patch: Box) -> Pixels:
    """Cut a whole patch out of what was read; bare glass beyond the slide."""
    part = patch.common(box)
    if part == patch:
        return pixels[patch.within(box)].copy()
    whole = np.full((patch.height, patch.width, 3), GLASS, np.uint8)
    whole[part.within(patch)] = pixels[part.within(box)]
    return whole


class Blending:
    """Predicts shards one after the other; keeps what tiles say about shards that are to come."""

    def __init__(self, predictor: Predictor, layout: Layout, steps: Sequence[Step]) -> None:
        self.predictor, self.layout = predictor, layout
        self._waiting: dict[tuple[int, int], dict[Tile, Piece]] = {
            step.plan.place: {} for step in steps
        }
        self._wanted: dict[Tile, list[ShardPlan]] = {}
        for step in steps:
            for tile in step.blended_of:
                self._wanted.setdefault(tile, []).append(step.plan)

    def predicted(
        self, read: Iterable[TilePixels], between: Callable[[int], None]
    ) -> PredictedShard:
        """Predict a step's tiles as they come, and blend its shard.

        `between` is told how many of the shard's patches are done, by its tiles' share. It may
        raise, and then nothing more is predicted.
        """
        tiles: list[TilePixels] = []
        done = 0
        for some, seen in batched(self.predictor, self.layout, noted(read, tiles)):
            for index, tile in enumerate(some):
                self._hand_out(Piece(self.layout, tile, seen, index))
            done += len(some)
            step = tiles[0].step
            between(len(step.plan.spots) * done // len(step.tiles))
        return self._blended(tiles)

    def _hand_out(self, piece: Piece) -> None:
        for shard in self._wanted.pop(piece.tile):
            part = piece.part(shard_box(shard, self.layout))
            self._waiting[shard.place][piece.tile] = part

    def _blended(self, tiles: Sequence[TilePixels]) -> PredictedShard:
        plan = tiles[0].step.plan
        pictures = {key: pixels for each in tiles for key, pixels in each.patches.items()}
        unreadable = {key: why for each in tiles for key, why in each.unreadable.items()}
        spots = [spot for spot in plan.spots if spot.patch_id in pictures]
        pieces = self._waiting.pop(plan.place)
        prediction = None
        if spots:
            box = shard_box(plan, self.layout)
            prediction = patches_of(blended(pieces.values(), box), box, spots)
        return PredictedShard(
            plan, spots, [pictures[spot.patch_id] for spot in spots], prediction, unreadable
        )


def noted(read: Iterable[TilePixels], tiles: list[TilePixels]) -> Iterator[tuple[Tile, Pixels]]:
    """Yield tiles with their pixels and note down what they came with."""
    for each in read:
        tiles.append(each)
        yield each.tile, each.pixels


def patches_of(seen: Prediction, box: Box, spots: Sequence[Spot]) -> Prediction:
    """Cut patches out of a shard's prediction; no membrane beyond the slide."""
    shape = len(spots), PATCH_PX, PATCH_PX
    probability = np.zeros(shape, np.float32)
    students = np.zeros((len(seen.students), *shape), np.bool_)
    for index, spot in enumerate(spots):
        patch = patch_box(spot)
        part = patch.common(box)
        source, target = part.within(box), part.within(patch)
        probability[index][target] = seen.probability[0][source]
        students[:, index][:, *target] = seen.students[:, 0][:, *source]
    return Prediction(probability, students)


def scored_shard(shard: PredictedShard) -> ScoredShard:
    """Let the selector judge a shard; lay its patches out as the pyramid's channels."""
    place, spots, seen = shard.plan.place, shard.spots, shard.prediction
    channels = np.zeros((len(Channel), SHARD_PX, SHARD_PX), np.uint8)
    if seen is None:
        return ScoredShard(place, channels, (), shard.unreadable)
    flagged = selection.uncertain_pixels(seen.probability, seen.students)
    stored = selection.quantised(seen.probability)
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
