"""Trained networks as predictors: the teacher's probability and both students' labels."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.augment import MEAN, STD
from models.networks import load_ensemble
from models.prediction import Prediction


class TorchPredictor:
    """A Predictor over saved weights; a patch's result does not depend on its batch."""

    def __init__(self, path: Path, *, device: str = "cpu", batch_size: int = 8) -> None:
        ensemble = load_ensemble(path)
        self.batch_size = batch_size
        self.device = device
        self.networks: list[nn.Module] = [
            network.eval()
            .requires_grad_(requires_grad=False)
            .to(device, memory_format=torch.channels_last)
            for network in (ensemble.teacher, *ensemble.students)
        ]
        self.scale = torch.tensor(STD, device=device).view(3, 1, 1) * 255
        self.shift = (torch.tensor(MEAN, device=device) / torch.tensor(STD, device=device)).view(
            3, 1, 1
        )

    @torch.inference_mode()
    def __call__(self, images: npt.NDArray[np.uint8]) -> Prediction:
        """Predict RGB patches, uint8 (B, H, W, 3)."""
        pixels = self.prepared(images)
        teacher, *students = [network(pixels).float() for network in self.networks]
        # two classes: the softmax is the sigmoid of the difference, the argmax its sign
        probability = torch.sigmoid(teacher[:, 1] - teacher[:, 0])
        labels = torch.stack([student[:, 1] > student[:, 0] for student in students or [teacher]])
        return Prediction(probability.cpu().numpy(), labels.cpu().numpy())

    def prepared(self, images: npt.NDArray[np.uint8]) -> Tensor:
        """Normalised float pixels (B, 3, H, W); channels-last, as the images lie in memory."""
        pixels = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)
        return pixels / self.scale - self.shift
