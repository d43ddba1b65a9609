"""What every predictor returns, trained or not: the one shape that selection and the worker read.

No torch here, so that the cold start and the selector work before anything is trained.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

PATCH_PX = 256
"""Side of a patch in analysis px: what a person corrects, and the least that is predicted."""


@dataclass(frozen=True)
class Prediction:
    """A batch of predicted patches.

    probability: float32 (B, H, W), the teacher's membrane probability in [0, 1].
    students: bool (S, B, H, W), hard labels of S second opinions (two students, or two rules).
    """

    probability: npt.NDArray[np.float32]
    students: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.probability.ndim != 3 or self.probability.dtype != np.float32:
            raise ValueError(
                f"probability must be float32 (B, H, W), got {self.probability.dtype} "
                f"{self.probability.shape}"
            )
        if self.students.ndim != 4 or self.students.shape[1:] != self.probability.shape:
            raise ValueError(
                f"students must be (S, B, H, W) over probability's {self.probability.shape}, "
                f"got {self.students.shape}"
            )
        if self.students.dtype != np.bool_:
            raise ValueError(f"students must be bool, got {self.students.dtype}")


class Predictor(Protocol):
    """Anything that turns a batch of patches into a Prediction."""

    @property
    def batch_size(self) -> int:
        """Patches per call at which this predictor runs best."""
        ...

    @property
    def backend(self) -> str:
        """The library that computes and its version: the last bits depend on it."""
        ...

    def __call__(self, images: npt.NDArray[np.uint8]) -> Prediction:
        """Predict RGB patches, uint8 (B, 256, 256, 3), or windows of several patches' size."""
        ...


def at_once(batch_size: int, shape: tuple[int, int]) -> int:
    """Return how many windows of a (height, width) are as much as a batch of patches; at least one.

    Of windows smaller than a patch there are no more.
    """
    height, width = shape
    return max(1, batch_size * PATCH_PX**2 // max(height * width, PATCH_PX**2))
