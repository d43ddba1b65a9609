"""Eight bits: every convolution is narrowed, the teacher is left alone when it should be."""

import hashlib
import logging
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.inference.calibration import Calibration
from models.inference.choice import load
from models.inference.eight_bits import calibrate, frozen, names_of
from models.inference.int8 import before, convolutions, narrow_weights, quantised
from models.inference.openvino_backend import OpenVinoPredictor, converted, openvino, request_of
from models.networks import Ensemble, NetworkConfig, NetworkError, build, save_ensemble
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
def calibration(weights, patches):
    return calibrate(weights, patches[:3], threads=1)


@pytest.fixture(scope="module")
def plain(ensemble, patches):
    return OpenVinoPredictor(ensemble, threads=1)(patches)


@pytest.fixture
def predicted(ensemble, calibration, patches):
    def by(precision):
        predictor = OpenVinoPredictor(
            ensemble, threads=1, precision=precision, calibration=calibration, batch_size=2
        )
        assert predictor.backend.endswith(f" {precision} of ranges {calibration.sha256[:12]}")
        return predictor(patches)

    return by


def test_eight_bits_are_close_and_not_the_same(predicted, plain):
    narrow = predicted("int8")
    gap = np.abs(narrow.probability - plain.probability)
    assert 1e-5 < gap.mean() < 0.02
    assert (narrow.students == plain.students).mean() > 0.97


def test_mixed_leaves_the_teacher_as_it_is(predicted, plain):
    mixed = predicted("mixed")
    np.testing.assert_allclose(mixed.probability, plain.probability, atol=1e-5)
    agreed = (mixed.students == plain.students).mean(axis=(1, 2, 3))
    assert (agreed > 0.97).all()
    assert (agreed < 1).all()


def test_a_patch_does_not_depend_on_its_batch(ensemble, calibration, patches):
    predictor = OpenVinoPredictor(ensemble, threads=1, precision="int8", calibration=calibration)
    together, alone = predictor(patches), predictor(patches[2:3])
    np.testing.assert_array_equal(alone.probability[0], together.probability[2])
    np.testing.assert_array_equal(alone.students[:, 0], together.students[:, 2])


@pytest.mark.parametrize("keep_teacher", [True, False])
def test_every_convolution_works_on_bytes(ensemble, calibration, keep_teacher):
    """As the processor runs it, not as the graph asks for it."""
    model = converted(ensemble, (4, PATCH_PX, PATCH_PX))
    run = lambda model: request_of(model, 1)  # noqa: E731 - one line, called twice
    narrow = quantised(model, calibration.ranges, keep_teacher=keep_teacher)
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


PREDICT = """
import sys
from hashlib import sha256
from pathlib import Path
import numpy as np
from models.inference.calibration import Calibration
from models.inference.choice import load
weights, ranges, patches = map(Path, sys.argv[1:])
calibration = Calibration.from_document(ranges.read_bytes())
seen = load(weights, threads=1, precision="int8", calibration=calibration)(np.load(patches))
print(sha256(seen.probability.tobytes() + seen.students.tobytes()).hexdigest())
"""


def test_frozen_ranges_make_the_same_masks_in_another_process(
    weights, calibration, patches, tmp_path
):
    """Written down and read again, whatever the process and its hashing have seen before."""
    ranges, pixels = tmp_path / "ranges.json", tmp_path / "patches.npy"
    ranges.write_bytes(calibration.document())
    np.save(pixels, patches)
    assert Calibration.from_document(calibration.document()) == calibration
    found = [
        subprocess.run(
            [sys.executable, "-c", PREDICT, weights, ranges, pixels],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    here = load(weights, threads=1, precision="int8", calibration=calibration)(patches)
    content = here.probability.tobytes() + here.students.tobytes()
    assert found == [hashlib.sha256(content).hexdigest() + "\n"] * 2


def test_ranges_name_their_weights_and_patches(weights, calibration, patches):
    assert calibration.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert calibration.patches_sha256 == names_of(patches[:3])
    assert len(set(calibration.patches_sha256)) == 3
    other = calibrate(weights, patches[1:], threads=1)
    assert other.sha256 != calibration.sha256
    assert [each[:2] for each in other.ranges] == [each[:2] for each in calibration.ranges]


def test_the_cost_is_of_patches_that_gave_no_range(weights, ensemble, patches, plain):
    calibration, costs = frozen(weights, patches, threads=1)
    assert calibration.patches_sha256 == names_of(patches[::2])
    narrow = OpenVinoPredictor(ensemble, threads=1, precision="int8", calibration=calibration)
    one, other = narrow(patches).probability[1::2] >= 0.5, plain.probability[1::2] >= 0.5
    said = costs["int8"]
    assert said.patches == 2
    assert said.mask_iou == pytest.approx((one & other).sum() / (one | other).sum(), abs=1e-4)
    assert said.mask_dice == pytest.approx(
        2 * (one & other).sum() / (one.sum() + other.sum()), abs=1e-4
    )
    assert said.mask_dice < 1
    assert costs["mixed"].mask_dice == 1
    assert said.quicker > 0
    assert f"{said.mask_dice:.4f}" in str(said)


def refused(**choices):
    with pytest.raises(NetworkError) as error:
        load(**choices)
    return error.value.code


def test_what_can_not_be_had_is_refused(weights, calibration, tmp_path, monkeypatch):
    narrow = {"path": weights, "threads": 1, "precision": "int8", "calibration": calibration}
    assert refused(**narrow | {"calibration": None}) == "ranges_missing"
    assert refused(**narrow, backend="torch") == "precision_needs_openvino"
    other = replace(calibration, weights_sha256="0" * 64)
    assert refused(**narrow | {"calibration": other}) == "ranges_of_other_weights"
    strange = replace(calibration, ranges=calibration.ranges[1:])
    assert refused(**narrow | {"calibration": strange}) == "ranges_of_another_graph"
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert refused(**narrow) == "openvino_missing"


def test_a_network_that_openvino_can_not_read_is_refused(patches, tmp_path):
    config = NetworkConfig("transunet", "small")
    save_ensemble(Ensemble(config, build(config), ()), tmp_path / "weights")
    root = logging.getLogger()
    as_it_was = root.level, root.filters[:], root.handlers[:]
    with pytest.raises(NetworkError, match="transunet") as error:
        frozen(tmp_path / "weights", patches, threads=1)
    assert error.value.code == "openvino_unsupported"
    assert (root.level, root.filters, root.handlers) == as_it_was, "the log of a worker goes on"


@pytest.mark.parametrize("count", [0, 1])
def test_no_patches_no_eight_bits(weights, patches, count):
    with pytest.raises(NetworkError) as error:
        frozen(weights, patches[:count], threads=1)
    assert error.value.code == "too_few_patches"


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"ranges": [1]}'])
def test_what_is_no_calibration_is_said(document):
    with pytest.raises(ValueError, match="no ranges"):
        Calibration.from_document(document)
