"""Tiles blended into one prediction of a region, or of a whole picture."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from models.prediction import Prediction, Predictor, at_once
from models.tiling import BLENDED, Box, Layout, Tile, Tiling

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Read = Callable[[Box], Pixels]
"""Returns a box of the slide, RGB uint8 (H, W, 3)."""
Progress = Callable[[int, int], None]


def unwatched(done: int, total: int) -> None:
    """Tell nobody."""


def batched(
    predictor: Predictor, layout: Layout, tiles: Iterable[tuple[Tile, Pixels]]
) -> Iterator[tuple[list[Tile], Prediction]]:
    """Predict tiles as they come, uint8 (H, W, 3) of their boxes; of one shape together."""
    for shape, some in groupby(tiles, key=lambda each: layout.shape(each[0])):
        size = at_once(predictor.batch_size, shape)
        waiting: list[tuple[Tile, Pixels]] = []
        for each in some:
            waiting.append(each)
            if len(waiting) == size:
                yield together(predictor, layout, waiting)
                waiting = []
        if waiting:
            yield together(predictor, layout, waiting)


def together(
    predictor: Predictor, layout: Layout, some: Sequence[tuple[Tile, Pixels]]
) -> tuple[list[Tile], Prediction]:
    tiles = [tile for tile, _ in some]
    return tiles, predictor(np.stack([window(pixels, layout.shape(tile)) for tile, pixels in some]))


def window(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """Continue a tile to the right and below by its mirror image: what lies beyond the slide."""
    beyond = [(0, side - have) for side, have in zip(shape, pixels.shape, strict=False)]
    return np.pad(pixels, [*beyond, (0, 0)], mode="symmetric") if any(map(any, beyond)) else pixels


class Piece:
    """What one tile says about a box: weighted probability and votes."""

    def __init__(self, layout: Layout, tile: Tile, prediction: Prediction, index: int) -> None:
        """Take one of a batch's predictions; the window's part beyond the slide is left out."""
        self.tile, self.box = tile, layout.box(tile)
        inside = np.s_[: self.box.height, : self.box.width]
        down, across = layout.weights(tile)
        weights = down[:, None] * across
        self.probability: Floats = prediction.probability[index][inside] * weights
        self.votes: Floats = prediction.students[:, index][:, *inside] * weights

    def part(self, box: Box) -> "Piece":
        """Return a copy of what lies in a box, for later: the rest can go."""
        part = object.__new__(Piece)
        part.tile, part.box = self.tile, self.box.common(box)
        place = part.box.within(self.box)
        part.probability = self.probability[place].copy()
        part.votes = self.votes[:, *place].copy()
        return part


class Canvas:
    """A box that is blended piece by piece; in the tiles' order, as sums of floats hang on it."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.probability: Floats = np.zeros((1, box.height, box.width), np.float32)
        self.votes: Floats | None = None

    def add(self, piece: Piece) -> None:
        if self.votes is None:
            shape = len(piece.votes), *self.probability.shape
            self.votes = np.zeros(shape, np.float32)
        common = piece.box.common(self.box)
        source, target = common.within(piece.box), common.within(self.box)
        self.probability[:, *target] += piece.probability[source]
        self.votes[:, 0, *target] += piece.votes[:, *source]

    def prediction(self) -> Prediction:
        """Return the prediction of the box, (1, H, W). Raises ValueError for an empty one."""
        if self.votes is None:
            raise ValueError("Nothing is predicted here.")
        # rounding must not lift a certain pixel above one
        np.minimum(self.probability, np.float32(1), out=self.probability)
        return Prediction(self.probability, self.votes >= np.float32(0.5))


def blended(pieces: Iterable[Piece], box: Box) -> Prediction:
    """Return the prediction of a box, (1, H, W), of all tiles that touch it, in any order."""
    canvas = Canvas(box)
    for piece in sorted(pieces, key=lambda piece: piece.tile):
        canvas.add(piece)
    return canvas.prediction()


def predict_region(
    predictor: Predictor,
    image: Pixels,
    *,
    tiling: Tiling = BLENDED,
    progress: Progress = unwatched,
) -> Prediction:
    """Predict an RGB picture, uint8 (H, W, 3) at the analysis grid's resolution, as a slide.

    Returns a Prediction of one image, (1, H, W). `progress(tiles done, of)` is called after each
    batch and may raise. Raises ValueError for other arrays.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"a region must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
    whole = Box(0, 0, *image.shape[:2])
    return predict_whole(
        predictor,
        Layout(whole.width, whole.height, tiling),
        lambda box: image[box.within(whole)],
        progress=progress,
    )


def predict_whole(
    predictor: Predictor, layout: Layout, read: Read, *, progress: Progress = unwatched
) -> Prediction:
    """Predict all of a small slide, (1, H, W), tile by tile as `read` gives them.

    Memory: 12 bytes a pixel with two second opinions.
    """
    whole = Box(0, 0, layout.height, layout.width)
    tiles = layout.touching(whole)
    canvas, done = Canvas(whole), 0
    for some, prediction in batched(
        predictor, layout, ((tile, read(layout.box(tile))) for tile in tiles)
    ):
        for index, tile in enumerate(some):
            canvas.add(Piece(layout, tile, prediction, index))
        done += len(some)
        progress(done, len(tiles))
    return canvas.prediction()
