"""Networks that draw nuclei, each through its authors' own library, loaded only when asked for.

None of the libraries but torch is a dependency: StarDist and Cellpose are the user's to install,
beside the weights that the user mounts. What is missing is said; nothing else is taken instead.
"""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Label = npt.NDArray[np.int32]
Network = Callable[[Rgb], npt.NDArray[Any]]
"""RGB (H, W, 3) at the network's own resolution in, a label map (H, W) out, 0 is none."""
Percentiles = tuple[float, float]


class DetectorError(ValueError):
    """A detector that can't be loaded or fails; `code` is stable, the text says what to do."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def torchscript(weights: Path, percentiles: Percentiles | None) -> Network:
    """Load a TorchScript module, as InstanSeg ships: float32 (1, 3, H, W) in, label map out.

    percentiles: of each channel, taken for 0 and 1 (InstanSeg: 0.1 and 99.9); None leaves 0–255.
    Of several label maps (1, K, H, W) the first is of nuclei, as InstanSeg orders them.
    """
    import torch

    load: Any = torch.jit.load
    try:
        module = load(weights, map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise DetectorError(
            "detector_invalid", f"{weights.name} is no TorchScript module: {first}"
        ) from error

    def run(image: Rgb) -> npt.NDArray[Any]:
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
        if percentiles is not None:
            low, high = np.percentile(pixels, percentiles, axis=(1, 2), keepdims=True)
            pixels = ((pixels - low) / np.maximum(high - low, 1e-3)).astype(np.float32)
        with torch.inference_mode():
            answer = module(torch.from_numpy(pixels)[None])
        if isinstance(answer, tuple | list):
            answer = answer[0]
        return np.asarray(answer.cpu().numpy().reshape(-1, *answer.shape[-2:])[0])

    return run


def stardist(weights: Path, percentiles: Percentiles | None) -> Network:
    """Load a folder of StarDist's (config.json, weights, thresholds.json) for H&E-like colours."""
    models = _installed("stardist.models", "StarDist")
    try:
        # what it says while it loads does not belong into a command's answer
        with redirect_stdout(sys.stderr):
            model = models.StarDist2D(None, name=weights.name, basedir=str(weights.parent))
    except (OSError, ValueError) as error:
        raise DetectorError(
            "detector_invalid", f"{weights.name} is no folder of a StarDist model: {error}"
        ) from error
    low, high = percentiles or (0.0, 100.0)

    def run(image: Rgb) -> npt.NDArray[Any]:
        # StarDist's own normalisation for colours: all channels together
        least, most = np.percentile(image, (low, high))
        pixels = (image.astype(np.float32) - least) / max(float(most - least), 1e-3)
        labels, _ = model.predict_instances(pixels)
        return np.asarray(labels)

    return run


def cellpose(weights: Path, percentiles: Percentiles | None) -> Network:
    """Load a Cellpose model's file. Cellpose normalises by itself: `percentiles` are its own."""
    models = _installed("cellpose.models", "Cellpose")
    try:
        model = models.CellposeModel(gpu=False, pretrained_model=str(weights))
    except (OSError, RuntimeError, ValueError, KeyError, UnpicklingError) as error:
        raise DetectorError(
            "detector_invalid", f"{weights.name} is no Cellpose model: {error}"
        ) from error

    def run(image: Rgb) -> npt.NDArray[Any]:
        own: Any = {"percentile": list(percentiles)} if percentiles else True
        return np.asarray(model.eval(image, normalize=own)[0])

    return run


KINDS: dict[str, Callable[[Path, Percentiles | None], Network]] = {
    "torchscript": torchscript,
    "stardist": stardist,
    "cellpose": cellpose,
}


def _installed(module: str, name: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise DetectorError(
            "detector_missing",
            f"{name} is not installed beside Membrana ({error}): `pip install {name.lower()}` in "
            "the workers' environment, or mount another detector.",
        ) from error
