"""The network of models.nuclei.maps as OpenVINO's graph, built from its weights alone.

Nothing of torch is needed: a command that scores one picture starts in a second. With the ranges of
what flows, the convolutions work on bytes (post-training quantisation, Jacob et al., CVPR 2018,
arXiv:1712.05877, §2.1; as in models.inference.int8): thrice as quick. Tests hold that the graph
answers as the network does, and that bytes change little.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.openvino_library import openvino_library

Array = npt.NDArray[np.float32]
Weights = Mapping[str, Array]
WIDTHS = (16, 32, 64, 96)
BLOCKS = (1, 2, 2)
RANGES = "ranges"
"""Among the weights: least and greatest of what flows into each convolution (n, 2), in order."""
_EPSILON = 1e-5
"""Of torch's batch normalisation."""
_LEVELS, _WEIGHT_LEVELS = 256, 255
_HEADROOM = np.float32(2)
"""Weights take half of their bits: processors without VNNI add two products in sixteen bits."""


def compiled(weights: Weights, side: int) -> Any:
    """Compile for pictures uint8 (1, side, side, 3); infers probabilities (1, 2, side, side).

    On bytes if the weights have RANGES, else in f32; on one thread, so that the same pixels give
    the same bits. KeyError: weights lack a tensor.
    """
    return _on_processor(_Graph(weights, weights.get(RANGES)).model(side))


def ranges_of(weights: Weights, images: Sequence[npt.NDArray[np.uint8]]) -> Array:
    """Measure RANGES on pictures uint8 (S, S, 3): the means of each one's least and greatest."""
    graph = _Graph(weights, None)
    model = graph.model(len(images[0]))
    ops = graph.ops
    ends = [
        reduce(flow, ops.constant(np.arange(4)), keep_dims=False)
        for flow in graph.flows
        for reduce in (ops.reduce_min, ops.reduce_max)
    ]
    request = _on_processor(
        graph.library.Model(ends, model.get_parameters(), "ranges")
    ).create_infer_request()
    answers = [[float(each) for each in request.infer([image[None]]).values()] for image in images]
    return np.asarray(np.mean(answers, axis=0).reshape(-1, 2), np.float32)


def _on_processor(model: Any) -> Any:
    library = openvino_library()
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        # tiles run side by side already
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    return library.Core().compile_model(model, "CPU", options)


class _Graph:
    def __init__(self, weights: Weights, ranges: Array | None) -> None:
        self.library = openvino_library()
        self.ops = self.library.opset13
        self.weights, self.ranges = weights, ranges
        self.flows: list[Any] = []
        """What flows into each convolution, in the order of their making."""

    def model(self, side: int) -> Any:
        ops = self.ops
        image = ops.parameter([1, side, side, 3], np.uint8)
        pixels = ops.convert(ops.transpose(image, [0, 3, 1, 2]), "f32")
        halved = ops.space_to_depth(ops.divide(pixels, np.float32(255)), "depth_first", 2)
        levels = [self.layer("stem", halved)]
        for number, blocks in enumerate(BLOCKS):
            x = self.layer(f"down.{number}.0", levels[-1], stride=2)
            for block in range(1, blocks + 1):
                name = f"down.{number}.{block}"
                first = self.layer(f"{name}.first", x)
                x = ops.relu(ops.add(x, self.normalised(f"{name}.second", f"{name}.norm", first)))
            levels.append(x)
        x = levels.pop()
        for number in range(len(BLOCKS)):
            narrow = self.biased(f"narrow.{number}", x, pad=0)
            x = ops.add(levels.pop(), self.doubled(narrow))
            x = ops.relu(x) if number + 1 == len(BLOCKS) else self.layer(f"up.{number}", x)
        logits = ops.depth_to_space(self.biased("head", x, pad=1), "depth_first", 2)
        return self.library.Model([ops.sigmoid(logits)], [image], "nuclei")

    def layer(self, name: str, x: Any, stride: int = 1) -> Any:
        """Convolve, normalise and cut off below 0."""
        return self.ops.relu(self.normalised(f"{name}.0", f"{name}.1", x, stride))

    def normalised(self, convolution: str, norm: str, x: Any, stride: int = 1) -> Any:
        """Convolve with the weights that batch normalisation is folded into."""
        part = {
            each: self.weights[f"{norm}.{each}"].astype(np.float64)
            for each in ("weight", "bias", "running_mean", "running_var")
        }
        gain = part["weight"] / np.sqrt(part["running_var"] + _EPSILON)
        kernel = self.weights[f"{convolution}.weight"] * gain[:, None, None, None]
        shift = part["bias"] - part["running_mean"] * gain
        return self.convolved(x, kernel, shift, stride, pad=1)

    def biased(self, name: str, x: Any, pad: int) -> Any:
        kernel, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return self.convolved(x, kernel, bias, 1, pad)

    def convolved(
        self, x: Any, kernel: npt.NDArray[Any], bias: npt.NDArray[Any], stride: int, pad: int
    ) -> Any:
        weights = self.ops.constant(kernel.astype(np.float32))
        self.flows.append(x)
        if self.ranges is not None:
            low, high = self._steps(*self.ranges[len(self.flows) - 1])
            x = self.ops.fake_quantize(x, low, high, low, high, _LEVELS)
            peak = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True).astype(np.float32) * _HEADROOM
            peak = np.maximum(peak, np.finfo(np.float32).tiny)
            weights = self.ops.fake_quantize(weights, -peak, peak, -peak, peak, _WEIGHT_LEVELS)
        both = [stride, stride], [pad, pad], [pad, pad], [1, 1]
        out = self.ops.convolution(x, weights, *both)
        return self.ops.add(out, self.ops.constant(bias.astype(np.float32)[None, :, None, None]))

    @staticmethod
    def _steps(low: float, high: float) -> tuple[np.float32, np.float32]:
        """Return ends of 256 steps, of which one is 0: what borders are padded with."""
        if low >= 0:
            return np.float32(0), np.float32(max(high, 1e-6))
        high = max(-low, high * _LEVELS / (_LEVELS - 2))
        return np.float32(-high), np.float32(high * (_LEVELS - 2) / _LEVELS)

    def doubled(self, x: Any) -> Any:
        """Repeat each pixel in a square of 2 × 2."""
        return self.ops.interpolate(
            x,
            np.array([2.0, 2.0], np.float32),
            mode="nearest",
            shape_calculation_mode="scales",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            axes=[2, 3],
        )
