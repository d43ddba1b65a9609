"""Eight bits: every convolution is narrowed, the teacher is left alone when it should be."""

import numpy as np
import pytest
import torch

from models.inference.int8 import before, convolutions, narrow_weights, quantised
from models.inference.openvino_backend import OpenVinoPredictor, converted, openvino, request_of
from models.networks import Ensemble, NetworkConfig, build
from models.phantom import PhantomSpec, field
from models.prediction import PATCH_PX


@pytest.fixture(scope="module")
def ensemble():
    torch.manual_seed(0)
    config = NetworkConfig()
    made = Ensemble(config, build(config), (build(config), build(config)))
    for network in made.networks():
        network.train()(torch.randn(2, 3, 64, 64))
        with torch.no_grad():
            network.head.bias.zero_()
    return made


@pytest.fixture(scope="module")
def patches():
    seen = field(PhantomSpec(width=1024, height=1024, seed=3, tumour=1.0), (1024, PATCH_PX)).image
    return np.stack(np.split(seen, 4, axis=1))


@pytest.fixture(scope="module")
def plain(ensemble, patches):
    return OpenVinoPredictor(ensemble, threads=1)(patches)


def predicted(ensemble, patches, precision):
    predictor = OpenVinoPredictor(
        ensemble, threads=1, precision=precision, calibration=patches[:3], batch_size=2
    )
    assert predictor.backend.endswith(precision)
    return predictor(patches)


def test_eight_bits_are_close_and_not_the_same(ensemble, patches, plain):
    narrow = predicted(ensemble, patches, "int8")
    gap = np.abs(narrow.probability - plain.probability)
    assert 1e-5 < gap.mean() < 0.02
    assert (narrow.students == plain.students).mean() > 0.97


def test_mixed_leaves_the_teacher_as_it_is(ensemble, patches, plain):
    mixed = predicted(ensemble, patches, "mixed")
    np.testing.assert_allclose(mixed.probability, plain.probability, atol=1e-5)
    agreed = (mixed.students == plain.students).mean(axis=(1, 2, 3))
    assert (agreed > 0.97).all()
    assert (agreed < 1).all()


def test_a_patch_does_not_depend_on_its_batch(ensemble, patches):
    predictor = OpenVinoPredictor(ensemble, threads=1, precision="int8", calibration=patches)
    together, alone = predictor(patches), predictor(patches[2:3])
    np.testing.assert_array_equal(alone.probability[0], together.probability[2])
    np.testing.assert_array_equal(alone.students[:, 0], together.students[:, 2])


@pytest.mark.parametrize("keep_teacher", [True, False])
def test_every_convolution_works_on_bytes(ensemble, patches, keep_teacher):
    """As the processor runs it, not as the graph asks for it."""
    model = converted(ensemble, 4)
    run = lambda model: request_of(model, 1)  # noqa: E731
    narrow = quantised(model, patches, run, keep_teacher=keep_teacher)
    running = run(narrow).get_compiled_model().get_runtime_model().get_ordered_ops()
    kinds = [
        node.get_rt_info()["runtimePrecision"].value
        for node in running
        if node.get_rt_info()["layerType"].value == "Convolution"
    ]
    each = len(convolutions(model)) // 3
    assert kinds.count("f32") == (each if keep_teacher else 0)
    assert len(kinds) == 3 * each
    names = before(model.get_results()[0])
    assert sum(node.get_friendly_name() in names for node in convolutions(model)) == each


def test_weights_take_128_steps_of_their_channels_peak():
    import openvino.opset13 as op

    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    weights[1] *= 100
    image = op.parameter([1, 3, 8, 8], np.float32)
    node = op.convolution(image, op.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1])
    narrow_weights(node)
    rounded = request_of(openvino().Model([node.input_value(1)], [image]), 1)
    found = rounded.infer([np.zeros((1, 3, 8, 8), np.float32)])[0]
    peak = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    steps = found / (peak / 63.5)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert np.abs(steps).max() <= 64.001
    assert np.abs(found - weights).max() <= (peak / 63.5 / 2 * 1.001).max()
    np.testing.assert_array_less(np.abs(found - weights), np.broadcast_to(peak / 126, found.shape))


@pytest.mark.parametrize("calibration", [None, np.zeros((0, PATCH_PX, PATCH_PX, 3), np.uint8)])
def test_no_patches_no_eight_bits(ensemble, calibration):
    with pytest.raises(ValueError, match="ranges"):
        OpenVinoPredictor(ensemble, threads=1, precision="int8", calibration=calibration)
