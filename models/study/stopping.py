"""When a training is stopped and where its probabilities are cut: the validation patches decide.

Every method is asked alike: at equal shares of its training the teacher predicts the validation
patches, and the weights of the best moment are kept, with the threshold that was best then. So a
method is not punished for a budget that is too long for it, nor for probabilities that are all too
low. Files of before say `last`: the last weights, cut at 0.5.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.metrics.threshold import best_threshold
from models.networks import Ensemble, save_ensemble
from models.whole_file import whole_file

VALIDATION, LAST = "validation", "last"
MOMENTS = 20
"""How often the validation patches are asked."""
PATCHES = 32
"""Of so many, spread over the validation part, is asked."""


def asked(patches: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the validation patches that decide."""
    return patches[:: max(1, -(-len(patches) // PATCHES))]


def keep(ensemble: Ensemble, path: Path, threshold: float) -> None:
    """Write the networks' weights with their threshold, whole or not at all."""
    with whole_file(path) as fresh:
        save_ensemble(replace(ensemble, threshold=threshold), fresh)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cut(
    probability: npt.NDArray[np.float32], truth: npt.NDArray[np.uint8], stopping: str
) -> tuple[float, float]:
    """Return where probabilities are to be cut, and the pooled Dice there."""
    if stopping == VALIDATION:
        return best_threshold(probability, truth)
    return 0.5, best_threshold((probability >= 0.5).astype(np.float32), truth)[1]
