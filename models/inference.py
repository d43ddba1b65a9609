"""Trained networks as predictors: the teacher's probability and both students' labels."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.augment import MEAN, STD
from models.networks import load_ensemble, place
from models.prediction import Prediction

Pixels = npt.NDArray[np.uint8]


class TorchPredictor:
    """A Predictor over saved weights; a patch's result does not depend on its batch.

    The kernels that torch chooses, and with them the last bits, change with the number of
    patches. So the networks always see `batch_size` of them, and blank ones fill the last call.
    """

    def __init__(self, path: Path, *, device: str = "cpu", batch_size: int | None = None) -> None:
        ensemble = load_ensemble(path)
        # a CPU is as quick with few, and then less is blank
        self.batch_size = batch_size or (4 if device == "cpu" else 32)
        self.device = device
        self.networks: list[nn.Module] = [
            place(network, device).eval().requires_grad_(requires_grad=False)
            for network in ensemble.networks()
        ]
        self.scale = torch.tensor(STD, device=device).view(3, 1, 1) * 255
        self.shift = (torch.tensor(MEAN, device=device) / torch.tensor(STD, device=device)).view(
            3, 1, 1
        )

    def __call__(self, images: Pixels) -> Prediction:
        """Predict RGB patches, uint8 (B, H, W, 3), any number of them."""
        probability = np.empty(images.shape[:3], np.float32)
        opinions = max(len(self.networks) - 1, 1)
        students = np.empty((opinions, *images.shape[:3]), np.bool_)
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            some = slice(start, start + len(batch))
            chance, labels = self.forward(filled(batch, self.batch_size))
            probability[some] = chance[: len(batch)].cpu().numpy()
            students[:, some] = labels[:, : len(batch)].cpu().numpy()
        return Prediction(probability, students)

    @torch.inference_mode()
    def forward(self, images: Pixels) -> tuple[Tensor, Tensor]:
        """Return the teacher's probability (B, H, W) and the students' labels (S, B, H, W)."""
        pixels = self.prepared(images)
        teacher, *students = [network(pixels).float() for network in self.networks]
        # two classes: the softmax is the sigmoid of the difference, the argmax its sign
        probability = torch.sigmoid(teacher[:, 1] - teacher[:, 0])
        labels = torch.stack([student[:, 1] > student[:, 0] for student in students or [teacher]])
        return probability, labels

    def prepared(self, images: Pixels) -> Tensor:
        """Normalised float pixels (B, 3, H, W); channels-last, as the images lie in memory."""
        pixels = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)
        return pixels / self.scale - self.shift


def filled(batch: Pixels, size: int) -> Pixels:
    """Add blank patches until there are `size`."""
    if len(batch) == size:
        return np.ascontiguousarray(batch)
    return np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), np.uint8)])
