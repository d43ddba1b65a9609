"""Convolutions in eight bits: smaller and, where the processor has the instructions, quicker.

Post-training quantisation (Jacob et al., CVPR 2018, arXiv:1712.05877, §2.1; ranges per tensor for
what flows, per output channel for weights) written as FakeQuantize operations, which OpenVINO's
compiler turns into integer kernels. NNCF does the same with more options, but it insists on the
telemetry package that is kept out here.

The masks change: by how much is measured where the ranges are taken (eight_bits.py). The students
only tell where to look, so they alone can be narrowed: then the masks stay as they are.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from models.inference.calibration import Range
from models.networks import NetworkError

Pixels = npt.NDArray[np.uint8]
Run = Callable[[Any], Any]
LEVELS = 256
WEIGHT_LEVELS = 255
HEADROOM = 2.0
"""Weights take half of their eight bits. Processors without VNNI add two products of a byte with a
byte in sixteen bits: 2·255·127 does not fit in there (a trained network's masks on such a one had
an IoU of 0.85 with the f32 ones), 2·255·64 does (0.99), and masks are alike on all processors."""
CONVOLUTIONS = {"Convolution": 1, "GroupConvolution": 2}
"""Kinds of node and how many leading axes of their weights are channels that come out."""


def quantised(model: Any, ranges: Sequence[Range], *, keep_teacher: bool) -> Any:
    """Return a copy of an ensemble's OpenVINO model whose convolutions work on bytes.

    ranges: `measured` once on this network. keep_teacher: only the students are narrowed. Raises
    NetworkError `ranges_of_another_graph` where the tensors have other names.
    """
    copy = model.clone()
    excluded = before(copy.get_results()[0]) if keep_teacher else set()
    flows = inputs(copy)
    if {(name, port) for name, port, *_ in ranges} != set(flows):
        raise NetworkError(
            "ranges_of_another_graph",
            "The ranges for eight bits were taken from another graph than this version of OpenVINO "
            "makes of the network. Predict in f32, or take them anew.",
        )
    chosen = [node for node in convolutions(copy) if node.get_friendly_name() not in excluded]
    for name, port, low, high in ranges:
        narrow_flow(flows[name, port], low, high, excluded)
    for node in chosen:
        narrow_weights(node)
    copy.validate_nodes_and_infer_types()
    return copy


def before(result: Any) -> set[str]:
    """Return the names of all nodes that a result depends on."""
    names: set[str] = set()
    waiting = [result]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() not in names:
            names.add(node.get_friendly_name())
            waiting += [value.get_node() for value in node.input_values()]
    return names


def convolutions(model: Any) -> list[Any]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() in CONVOLUTIONS]


def inputs(model: Any) -> dict[tuple[str, int], Any]:
    """Return what flows into convolutions, each once, by its node's name and port."""
    flows = (node.input_value(0) for node in convolutions(model))
    return {(flow.get_node().get_friendly_name(), flow.get_index()): flow for flow in flows}


def measured(model: Any, patches: Pixels, run: Run) -> tuple[Range, ...]:
    """Return the mean over batches of each flow's least and greatest value.

    patches: uint8 (N, 256, 256, 3), N ≥ 1, like those to come. run(model): compiles a model and
    returns what infers a batch.
    """
    openvino, op = import_module("openvino"), import_module("openvino.opset13")
    model = model.clone()
    flows = inputs(model)
    ends = [
        reduce(flow, op.constant(np.arange(len(flow.get_shape()))), keep_dims=False)
        for flow in flows.values()
        for reduce in (op.reduce_min, op.reduce_max)
    ]
    request = run(openvino.Model(ends, model.get_parameters()))
    size = model.input(0).get_shape()[0]
    # whole batches of real patches: blank ones would widen the ranges
    whole = np.resize(patches, (-(-len(patches) // size) * size, *patches.shape[1:]))
    extremes = []
    for start in range(0, len(whole), size):
        answer = request.infer([whole[start : start + size]])
        extremes.append([float(answer[index]) for index in range(len(ends))])
    means = np.mean(extremes, axis=0).reshape(-1, 2)
    return tuple(
        (*flow, float(low), float(high)) for flow, (low, high) in zip(flows, means, strict=True)
    )


def narrow_flow(flow: Any, low: float, high: float, excluded: set[str]) -> None:
    """Let what reads a tensor, but for `excluded`, read it in 256 steps: unsigned after a ReLU."""
    op = import_module("openvino.opset13")
    if low < 0:
        # zero must be a step: it is what borders are padded with
        high = float(max(-low, high * LEVELS / (LEVELS - 2)))
        low, high = -high, high * (LEVELS - 2) / LEVELS
    else:
        low, high = 0.0, max(high, float(np.finfo(np.float32).tiny))
    readers = [
        reader
        for reader in flow.get_target_inputs()
        if reader.get_node().get_friendly_name() not in excluded
    ]
    if not readers:
        return
    ends = np.float32(low), np.float32(high)
    narrow = op.fake_quantize(flow, *ends, *ends, LEVELS)
    for reader in readers:
        reader.replace_source_output(narrow.output(0))


def narrow_weights(node: Any) -> None:
    """Round a convolution's weights, each channel that comes out on its own scale."""
    op = import_module("openvino.opset13")
    weights = node.input_value(1).get_node().data
    axes = tuple(range(CONVOLUTIONS[node.get_type_name()], weights.ndim))
    peak = np.abs(weights).max(axis=axes, keepdims=True).astype(np.float32) * np.float32(HEADROOM)
    peak = np.maximum(peak, np.finfo(np.float32).tiny)
    narrow = op.fake_quantize(op.constant(weights), -peak, peak, -peak, peak, WEIGHT_LEVELS)
    node.input(1).replace_source_output(narrow.output(0))
