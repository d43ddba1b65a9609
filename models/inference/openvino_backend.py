"""OpenVINO as a backend: Intel's kernels and graph compiler, for any x86 or ARM processor."""

import logging
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import numpy.typing as npt
import torch

from models.inference.calibration import Calibration, Precision
from models.inference.ensemble import Opinions, Pixels, in_batches
from models.inference.int8 import quantised
from models.inference.windows import any_size
from models.networks import Ensemble, NetworkError, load_ensemble
from models.openvino_library import openvino_library
from models.prediction import PATCH_PX, Prediction

Shape = tuple[int, ...]
"""Windows in a batch, height, width."""
SHAPES = 4
"""Whole tiles, and those at a slide's right edge, its lower one, and in its corner."""


def openvino() -> ModuleType:
    """Import OpenVINO. Raises NetworkError `openvino_missing`."""
    try:
        return openvino_library()
    except ImportError as error:
        raise NetworkError(
            "openvino_missing",
            f"OpenVINO can't be loaded here ({error}). Install it, or predict with torch in f32.",
        ) from error


class OpenVinoPredictor:
    """A Predictor over saved weights on the CPU; a patch's result does not depend on its batch.

    threads: processor threads, 0: as many as there are cores. precision: `f32`; `mixed`, the
    students in eight bits and the teacher, who makes the masks, in f32; or `int8`, all in eight.
    The latter two have their ranges from a calibration, and raise NetworkError `ranges_missing`
    without one. `openvino_unsupported`: OpenVINO can't read the network.
    Its graph is compiled for one shape, so each new shape of windows costs a second, once; the last
    SHAPES are kept. One call at a time.
    """

    def __init__(
        self,
        weights: Path | Ensemble,
        *,
        threads: int = 0,
        batch_size: int = 4,
        precision: Precision = "f32",
        calibration: Calibration | None = None,
    ) -> None:
        ensemble = load_ensemble(weights) if isinstance(weights, Path) else weights
        self.batch_size = batch_size
        self.second = max(len(ensemble.students), 1)
        self.precision: str = precision
        if precision != "f32" and calibration is None:
            raise NetworkError(
                "ranges_missing",
                f"{precision} needs the ranges of the network's values, taken once from patches "
                "like those to come.",
            )
        if calibration is not None and precision != "f32":
            self.precision += f" of ranges {calibration.sha256[:12]}"
        self.ensemble, self.threads, self.narrowed = ensemble, threads, precision
        self.calibration = calibration
        self.requests: OrderedDict[Shape, Any] = OrderedDict()
        # what can't be had is to be said here
        self._request((batch_size, PATCH_PX, PATCH_PX))

    @property
    def backend(self) -> str:
        return f"openvino {openvino().__version__.split('-')[0]} {self.precision}"

    def __call__(self, images: Pixels) -> Prediction:
        """Predict RGB patches or larger windows, uint8 (B, H, W, 3); others raise ValueError."""
        if images.ndim != 4 or images.shape[3] != 3 or min(images.shape[1:3]) < PATCH_PX:
            raise ValueError(f"windows must be of 256×256 RGB px or more, got {images.shape[1:]}")
        return any_size(self, self.ensemble.config.architecture, images, self._predicted)

    def _predicted(self, images: Pixels) -> Prediction:
        return in_batches(images, self.batch_size, self.second, self.forward)

    def forward(self, images: Pixels) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Return probability (B, H, W) and the students' labels (S, B, H, W) of a full batch.

        Both are views of the request's memory: the next call overwrites them.
        """
        request = self._request(images.shape[:3])
        answer = request.infer([images], share_inputs=True, share_outputs=True)
        return answer[0], answer[1]

    def _request(self, shape: Shape) -> Any:
        """Return what infers a batch of this shape: compiled now, unless it was among the last."""
        if shape in self.requests:
            self.requests.move_to_end(shape)
            return self.requests[shape]
        model = converted(self.ensemble, shape)
        if self.calibration is not None and self.narrowed != "f32":
            keep_teacher = self.narrowed == "mixed"
            model = quantised(model, self.calibration.ranges, keep_teacher=keep_teacher)
        while len(self.requests) >= SHAPES:
            self.requests.popitem(last=False)
        self.requests[shape] = request_of(model, self.threads)
        return self.requests[shape]


def converted(ensemble: Ensemble, shape: Shape) -> Any:
    """Return the whole ensemble as one OpenVINO model of uint8 (B, H, W, 3), for one B, H, W.

    Its tensors have the same names whatever the shape: ranges taken from patches are for all.

    Outputs: probability f32 (B, H, W), labels boolean (S, B, H, W). Raises NetworkError
    `openvino_unsupported` for a network that OpenVINO can't read.
    """
    library = openvino()
    opinions = Opinions(ensemble, "cpu").eval()
    example = torch.zeros(1, PATCH_PX, PATCH_PX, 3, dtype=torch.uint8)
    with torch.no_grad(), catch_warnings(), logging_untouched():
        # tracing is what OpenVINO's converter builds on, deprecated or not
        simplefilter("ignore", FutureWarning)
        # traced here, with one patch and unchecked: OpenVINO's own tracing takes thrice as long
        traced = torch.jit.trace(opinions, example, check_trace=False)  # type: ignore[no-untyped-call]
        try:
            return library.convert_model(traced, input=[*shape, 3])
        except Exception as error:
            # each of its front ends has its own errors
            raise NetworkError(
                "openvino_unsupported",
                f"OpenVINO can't read a network of the kind {ensemble.config.architecture}: it "
                "predicts with torch, in f32.",
            ) from error


@contextmanager
def logging_untouched() -> Iterator[None]:
    """Keep the process's log as it is: a conversion that fails leaves it silent below ERROR."""
    root = logging.getLogger()
    level, filters, handlers = root.level, root.filters[:], root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers


def request_of(model: Any, threads: int) -> Any:
    """Compile a model for this machine's processor; return what infers a batch."""
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        # workers beside each other would be pinned to the same cores
        "ENABLE_CPU_PINNING": False,
    }
    return openvino().Core().compile_model(model, "CPU", options).create_infer_request()
