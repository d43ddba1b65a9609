"""Tiles of a slide for its shards: read from the file, predicted, and blended shard by shard."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from backend.kit.storage.pyramids import Pixels
from backend.slides.patches.grid import PATCH_PX, Measured, analysis_region
from backend.slides.reading.reader import GLASS, RegionUnreadable, SlideReader
from models.blending import Piece, batched, blended
from models.prediction import Prediction, Predictor
from models.tiling import Box, Layout, Tile
from worker.shards import (
    PredictedShard,
    ShardPlan,
    Spot,
    Step,
    TilePixels,
    home,
    patch_box,
    shard_box,
)


def read_tile(
    reader: SlideReader, slide: Measured, step: Step, tile: Tile, layout: Layout, mpp: float
) -> TilePixels:
    """Read a tile in one go; if the file is damaged there, patch by patch.

    The slide's own pixels are read wherever there are any, of patches or not.
    """
    box = layout.box(tile)
    inside = [spot for spot in step.plan.spots if home(spot, layout) == tile]

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
        for some, prediction in batched(self.predictor, self.layout, noted(read, tiles)):
            for index, tile in enumerate(some):
                self._hand_out(Piece(self.layout, tile, prediction, index))
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


def patches_of(prediction: Prediction, box: Box, spots: Sequence[Spot]) -> Prediction:
    """Cut patches out of a shard's prediction; no membrane beyond the slide."""
    shape = len(spots), PATCH_PX, PATCH_PX
    probability = np.zeros(shape, np.float32)
    students = np.zeros((len(prediction.students), *shape), np.bool_)
    for index, spot in enumerate(spots):
        patch = patch_box(spot)
        part = patch.common(box)
        source, target = part.within(box), part.within(patch)
        probability[index][target] = prediction.probability[0][source]
        students[:, index][:, *target] = prediction.students[:, 0][:, *source]
    return Prediction(probability, students)
