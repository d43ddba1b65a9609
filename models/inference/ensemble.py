"""What every backend computes: from RGB bytes to the teacher's probability, the students' labels.

One module holds the networks, the normalisation and the threshold, so that a backend that converts
it has one graph, which reads its input once, and no second description of what is computed.

A threshold t is no matter of who reads the probabilities: the logits are shifted by that of t, so
that what comes out is one half where the networks say t. So a proposal is cut at one half by
whoever cuts it, the entropy is greatest where the proposal turns, and what is stored in eight bits
has its middle there. It is the correction for another share of membrane than was learned from, by
Bayes' rule (Saerens et al. 2002, Neural Computation 14:21), with its factor chosen by the masks.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.augment import MEAN, STD
from models.networks import Ensemble, place
from models.prediction import Prediction, at_once

Pixels = npt.NDArray[np.uint8]
Forward = Callable[[Pixels], tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]]


class Opinions(nn.Module):
    """The teacher and the students of an ensemble, all asked about the same patches."""

    scale: Tensor
    shift: Tensor

    def __init__(self, ensemble: Ensemble, device: str) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            place(network, device).eval().requires_grad_(requires_grad=False)
            for network in ensemble.networks()
        )
        mean, spread = torch.tensor(MEAN, device=device), torch.tensor(STD, device=device)
        self.shifted = math.log(ensemble.threshold / (1 - ensemble.threshold))
        self.register_buffer("scale", spread.view(3, 1, 1) * 255)
        self.register_buffer("shift", (mean / spread).view(3, 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return probability (B, H, W) and labels (S, B, H, W) of RGB bytes (B, H, W, 3).

        Both are shifted, so that the ensemble's threshold lies at one half.
        """
        pixels = self.prepared(images)
        teacher, *students = [self.lead(network(pixels).float()) for network in self.networks]
        # two classes: the softmax is the sigmoid of the difference, the argmax its sign
        labels = torch.stack([student > 0 for student in students or [teacher]])
        return torch.sigmoid(teacher), labels

    def lead(self, logits: Tensor) -> Tensor:
        """Return by how much membrane leads at each pixel, (B, H, W), from the threshold on."""
        difference = logits[:, 1] - logits[:, 0]
        return difference - self.shifted if self.shifted else difference

    def prepared(self, images: Tensor) -> Tensor:
        """Normalised float pixels (B, 3, H, W); channels-last, as the images lie in memory."""
        return images.permute(0, 3, 1, 2) / self.scale - self.shift

    @property
    def second(self) -> int:
        """How many second opinions there are: without students, the teacher's own."""
        return max(len(self.networks) - 1, 1)


def in_batches(images: Pixels, batch_size: int, second: int, forward: Forward) -> Prediction:
    """Predict any number of windows, as many at a time as make `batch_size` patches; blank ones
    fill the last call.

    The kernels that a backend chooses, and with them the last bits, change with the number of
    windows. So the networks always see the same number, and a window's result is its own.
    """
    size = at_once(batch_size, images.shape[1:3])
    probability = np.empty(images.shape[:3], np.float32)
    students = np.empty((second, *images.shape[:3]), np.bool_)
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        some = slice(start, start + len(batch))
        chance, labels = forward(filled(batch, size))
        probability[some] = chance[: len(batch)]
        students[:, some] = labels[:, : len(batch)]
    return Prediction(probability, students)


def filled(batch: Pixels, size: int) -> Pixels:
    """Add blank windows until there are `size`."""
    if len(batch) == size:
        return np.ascontiguousarray(batch)
    return np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), np.uint8)])
