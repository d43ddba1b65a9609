"""PyTorch as a backend: on GPUs, and wherever nothing else was measured to be quicker."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.inference.ensemble import Opinions, Pixels, in_batches
from models.inference.windows import any_size
from models.networks import Ensemble, load_ensemble
from models.prediction import Prediction


class TorchPredictor:
    """A Predictor over saved weights; a patch's result does not depend on its batch.

    An ensemble that is given instead of a file is taken over: its networks move to the device.
    """

    def __init__(
        self, weights: Path | Ensemble, *, device: str = "cpu", batch_size: int | None = None
    ) -> None:
        ensemble = load_ensemble(weights) if isinstance(weights, Path) else weights
        # a CPU is as quick with few, and then less is blank
        self.batch_size = batch_size or (4 if device == "cpu" else 32)
        self.device = device
        self.opinions = Opinions(ensemble, device)
        self.architecture = ensemble.config.architecture

    @property
    def backend(self) -> str:
        return f"torch {torch.__version__} {self.device}"

    def __call__(self, images: Pixels) -> Prediction:
        """Predict RGB patches or larger windows, uint8 (B, H, W, 3), any number of them."""
        return any_size(self, self.architecture, images, self._predicted)

    def _predicted(self, images: Pixels) -> Prediction:
        return in_batches(images, self.batch_size, self.opinions.second, self.forward)

    @torch.inference_mode()
    def forward(self, images: Pixels) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Return probability (B, H, W) and the students' labels (S, B, H, W) of a full batch."""
        probability, labels = self.opinions(torch.from_numpy(images).to(self.device))
        return probability.cpu().numpy(), labels.cpu().numpy()
