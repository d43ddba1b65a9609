"""Which backend predicts: a rule, not a race, so that a mask can be computed again.

Backends differ in the last bits, which turns a pixel here and there. A choice made by the clock at
start-up would let an installation's masks depend on what else the machine did in that second.
So `python -m benchmarks.inference` measures, its result is committed, and QUICKEST follows it
(a test compares the two). `backend` of a predictor says what it was, with its version.
"""

from pathlib import Path
from typing import Literal

import torch

from models.inference.openvino_backend import OpenVinoPredictor
from models.inference.torch_backend import TorchPredictor
from models.networks import load_ensemble

Backend = Literal["auto", "torch", "openvino"]

QUICKEST: dict[str, Backend] = {
    "unet-small": "openvino",
    "unet": "openvino",
    "deeplabv3plus": "openvino",
}
"""Per architecture on a CPU; what was not measured runs where it was trained, in torch."""


def load(
    path: Path, *, backend: Backend = "auto", threads: int = 0
) -> TorchPredictor | OpenVinoPredictor:
    """Return the predictor of saved weights on this machine.

    A GPU is torch's unless OpenVINO, which runs on the CPU, is asked for by name.
    threads: processor threads; 0: the library's choice. Raises NetworkError for a file that
    holds no weights.
    """
    ensemble = load_ensemble(path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if threads:
        # OpenVINO's graph is traced by torch, which must not take more either
        torch.set_num_threads(threads)
    if backend == "auto":
        backend = chosen(ensemble.config.architecture, device)
    if backend == "openvino":
        return OpenVinoPredictor(ensemble, threads=threads)
    return TorchPredictor(ensemble, device=device)


def chosen(architecture: str, device: str) -> Backend:
    """Return the backend that `auto` means."""
    return QUICKEST.get(architecture, "torch") if device == "cpu" else "torch"
