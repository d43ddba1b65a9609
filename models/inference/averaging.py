"""Averages over flipped views of a patch: slower, steadier predictions of any predictor.

Tissue has no up and down, a network has. Probabilities are averaged; a student says membrane where
it does so in at least half of the views.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from models.prediction import Prediction, Predictor

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """One of the eight positions of a square: quarter turns, then perhaps a mirror."""

    turns: int
    mirrored: bool

    def of(self, images: npt.NDArray[Any], axes: tuple[int, int]) -> npt.NDArray[Any]:
        """Turn and mirror arrays in the plane of two axes."""
        turned = np.rot90(images, self.turns, axes)
        return np.flip(turned, axes[1]) if self.mirrored else turned

    def back(self, images: npt.NDArray[Any], axes: tuple[int, int]) -> npt.NDArray[Any]:
        """Undo `of`."""
        plain = np.flip(images, axes[1]) if self.mirrored else images
        return np.rot90(plain, -self.turns, axes)


FLIPS = (View(0, False), View(0, True), View(2, False), View(2, True))
SQUARE = tuple(View(turns, mirrored) for turns, mirrored in product(range(4), (False, True)))
VIEWS = {"flips": FLIPS, "square": SQUARE}
"""`flips`: as it is, mirrored along either axis and both, 4 times the work; `square`: with the
quarter turns, 8 times."""


class Averaged:
    """A Predictor that asks another one about each view of a patch and averages the answers."""

    def __init__(self, predictor: Predictor, views: str = "flips") -> None:
        if views not in VIEWS:
            raise ValueError(f"There are no views {views!r}; choose one of {', '.join(VIEWS)}.")
        self.predictor = predictor
        self.name = views
        self.views = VIEWS[views]

    @property
    def batch_size(self) -> int:
        return self.predictor.batch_size

    @property
    def backend(self) -> str:
        return f"{self.predictor.backend}, {self.name} averaged"

    def __call__(self, images: Pixels) -> Prediction:
        """Predict RGB patches or windows, uint8 (B, H, W, 3)."""
        total = np.zeros(images.shape[:3], np.float32)
        votes: npt.NDArray[np.uint8] | None = None
        for view in self.views:
            prediction = self.predictor(np.ascontiguousarray(view.of(images, (1, 2))))
            total += view.back(prediction.probability, (1, 2))
            yes = view.back(prediction.students, (2, 3)).astype(np.uint8)
            votes = yes if votes is None else votes + yes
        assert votes is not None
        return Prediction(total / np.float32(len(self.views)), 2 * votes >= len(self.views))
