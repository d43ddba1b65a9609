"""A region of any size, tile by tile: overlapping tiles are blended, so that no seam shows.

A network knows less about a tile's border than about its middle, as it sees no surroundings there.
Weights that fall off like a Gaussian let each pixel be decided by the tiles that see it best.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
import numpy.typing as npt

from models.prediction import PATCH_PX, Prediction, Predictor

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
MAX_OVERLAP = 0.5
"""Share of a tile's side; with more, every pixel would be computed more than four times."""
SPREAD = 0.25
"""Standard deviation of the weights in tile sides: an edge's middle weighs 0.14 of the centre."""


def unwatched(done: int, total: int) -> None:
    """Tell nobody."""


def predict_region(
    predictor: Predictor,
    image: Pixels,
    *,
    overlap: float = 0.25,
    progress: Callable[[int, int], None] = unwatched,
) -> Prediction:
    """Predict an RGB region, uint8 (H, W, 3) at the analysis grid's resolution.

    Returns a Prediction of one image, (1, H, W). overlap: share of a tile's side that neighbours
    have in common, 0 to 0.5; 0 lays the tiles edge to edge without blending. `progress(tiles done,
    of)` is called after each batch and may raise. A region smaller than a tile is continued by its
    mirror image. Memory: 16 bytes a pixel. Raises ValueError for other overlaps and arrays.
    """
    if not 0 <= overlap <= MAX_OVERLAP:
        raise ValueError(f"The overlap must be 0 to {MAX_OVERLAP} of a tile, got {overlap}.")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"a region must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
    step = PATCH_PX - round(overlap * PATCH_PX)
    tops, lefts = (starts(side, step) for side in image.shape[:2])
    places = list(product(tops, lefts))
    whole = at_least_a_tile(image)
    canvas = Canvas(whole.shape[:2], bell() if overlap else np.ones((PATCH_PX,) * 2, np.float32))
    for first in range(0, len(places), predictor.batch_size):
        some = places[first : first + predictor.batch_size]
        canvas.add(some, predictor(np.stack([tile(whole, place) for place in some])))
        progress(first + len(some), len(places))
    return canvas.blended(image.shape[0], image.shape[1])


class Canvas:
    """Sums of weighted probabilities and votes over the whole region."""

    def __init__(self, shape: tuple[int, ...], weights: Floats) -> None:
        self.weights = weights
        self.total = np.zeros(shape, np.float32)
        self.probability = np.zeros(shape, np.float32)
        self.votes: Floats | None = None

    def add(self, places: list[tuple[int, int]], seen: Prediction) -> None:
        if self.votes is None:
            self.votes = np.zeros((len(seen.students), *self.total.shape), np.float32)
        for index, (top, left) in enumerate(places):
            box = np.s_[top : top + PATCH_PX, left : left + PATCH_PX]
            self.total[box] += self.weights
            self.probability[box] += self.weights * seen.probability[index]
            for votes, student in zip(self.votes, seen.students[:, index], strict=True):
                votes[box] += self.weights * student

    def blended(self, height: int, width: int) -> Prediction:
        """Return the means of what was added, without the mirrored rest."""
        assert self.votes is not None
        box = np.s_[:height, :width]
        total = self.total[box]
        # rounding must not lift a certain pixel above one
        probability = np.minimum(self.probability[box] / total, np.float32(1))
        return Prediction(probability[None], (2 * self.votes[:, *box] >= total)[:, None])


def bell() -> Floats:
    """Return how much a tile says about each of its pixels, (256, 256), 1 at the centre."""
    offset = (np.arange(PATCH_PX) + 0.5) / PATCH_PX - 0.5
    along = np.exp(-0.5 * (offset / SPREAD) ** 2)
    return np.outer(along, along).astype(np.float32)


def starts(side: int, step: int) -> list[int]:
    """Return where tiles begin along a side: every `step`, and the last one ends with it."""
    last = max(0, side - PATCH_PX)
    return [*range(0, last, step), last]


def at_least_a_tile(image: Pixels) -> Pixels:
    """Continue an image to the right and below by its mirror image until a tile fits in."""
    beyond = [(0, max(0, PATCH_PX - side)) for side in image.shape[:2]]
    return np.pad(image, [*beyond, (0, 0)], mode="symmetric")


def tile(image: Pixels, place: tuple[int, int]) -> Pixels:
    top, left = place
    return image[top : top + PATCH_PX, left : left + PATCH_PX]
