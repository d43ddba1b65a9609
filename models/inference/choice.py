"""Which backend predicts: a rule, not a race, so that a mask can be computed again.

Backends differ in the last bits, which turns a pixel here and there. A choice made by the clock at
start-up would let an installation's masks depend on what else the machine did in that second.
So `python -m benchmarks.inference` measures, its result is committed, and QUICKEST follows it
(a test compares the two). `backend` of a predictor says what it was, with its version.
"""

import hashlib
from pathlib import Path
from typing import Literal

import torch

from models.inference.calibration import Calibration, Precision
from models.inference.openvino_backend import OpenVinoPredictor, openvino
from models.inference.torch_backend import TorchPredictor
from models.networks import NetworkError, load_ensemble
from models.prediction import Predictor
from models.stain_rules import StainRuled

Backend = Literal["auto", "torch", "openvino"]

QUICKEST: dict[str, Backend] = {
    "unet-small": "openvino",
    "unet": "openvino",
    "deeplabv3plus": "openvino",
}
"""Per architecture on a CPU; what was not measured runs where it was trained, in torch."""


def load(
    path: Path,
    *,
    backend: Backend = "auto",
    threads: int = 0,
    precision: Precision = "f32",
    calibration: Calibration | None = None,
) -> Predictor:
    """Return the predictor of saved weights on this machine, with the rules that they carry.

    A GPU is torch's unless OpenVINO, which runs on the CPU, is asked for by name.
    threads: processor threads; 0: the library's choice. precision, calibration: `mixed` and `int8`
    are OpenVINO's, with the frozen ranges of these weights. Raises NetworkError for a file that
    holds no weights, and for a precision that can't be had.
    """
    ensemble = load_ensemble(path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if threads:
        # OpenVINO's graph is traced by torch, which must not take more either
        torch.set_num_threads(threads)
    check_precision(precision, backend)
    if calibration is not None:
        check_weights(calibration, path)
    if precision != "f32":
        backend = "openvino"
    elif backend == "auto":
        backend = chosen(ensemble.config.architecture, device)
    predictor: Predictor
    if backend == "openvino":
        predictor = OpenVinoPredictor(
            ensemble, threads=threads, precision=precision, calibration=calibration
        )
    else:
        predictor = TorchPredictor(ensemble, device=device)
    return StainRuled(predictor) if ensemble.stain_rules else predictor


def chosen(architecture: str, device: str) -> Backend:
    """Return the backend that `auto` means."""
    return QUICKEST.get(architecture, "torch") if device == "cpu" else "torch"


def check_precision(precision: Precision, backend: Backend) -> None:
    """Raise NetworkError `precision_needs_openvino` where torch would compute, `openvino_missing`.

    Nobody's GPU stands idle because of a word: OpenVINO on the CPU beside one is asked for by name.
    """
    if precision == "f32":
        return
    if backend == "torch" or (backend == "auto" and torch.cuda.is_available()):
        where = "torch was asked for" if backend == "torch" else "this machine's GPU is torch's"
        raise NetworkError(
            "precision_needs_openvino",
            f"{precision} is OpenVINO's, which computes on the processor, and {where}: choose f32, "
            "or openvino by name.",
        )
    openvino()


def check_weights(calibration: Calibration, path: Path) -> None:
    """Raise NetworkError `ranges_of_other_weights` unless the ranges are of a file's weights."""
    if calibration.weights_sha256 != hashlib.sha256(path.read_bytes()).hexdigest():
        raise NetworkError(
            "ranges_of_other_weights",
            f"The ranges for eight bits are of other weights than {path.name} holds.",
        )
