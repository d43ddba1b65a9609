"""What both backends must hold, on the same weights: a patch's result is its own."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

from models.augment import normalise
from models.inference import TorchPredictor
from models.inference.openvino_backend import OpenVinoPredictor
from models.networks import Ensemble, NetworkConfig, build, save_ensemble
from models.prediction import PATCH_PX

BACKENDS = {"torch": TorchPredictor, "openvino": partial(OpenVinoPredictor, threads=1)}


@pytest.fixture(scope="module")
def ensemble():
    torch.manual_seed(0)
    config = NetworkConfig()
    made = Ensemble(config, build(config), (build(config), build(config)))
    for network in made.networks():
        # statistics as after a training, so that eval mode is not the identity
        network.train()(torch.randn(2, 3, 64, 64))
        network.eval()
        with torch.no_grad():
            network.head.bias.zero_()
            network.head.weight.mul_(10)
    return made


@pytest.fixture(scope="module")
def patches():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (7, PATCH_PX, PATCH_PX, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]


@pytest.fixture(scope="module")
def predictor(backend, weights):
    return backend(weights)


def test_it_is_the_teachers_softmax_and_the_students_argmax(ensemble, predictor, patches):
    prediction = predictor(patches[:2])
    pixels = normalise(torch.from_numpy(patches[:2]).permute(0, 3, 1, 2).float() / 255)
    with torch.inference_mode():
        teacher, *students = [network(pixels) for network in ensemble.networks()]
    np.testing.assert_allclose(prediction.probability, teacher.softmax(1)[:, 1], atol=1e-4)
    for ours, student in zip(prediction.students, students, strict=True):
        assert (ours == student.argmax(1).bool().numpy()).mean() > 0.999
    assert 0.01 < prediction.students.mean() < 0.99


@pytest.mark.parametrize("batch_size", [3, 4])
def test_a_patch_does_not_depend_on_its_batch(backend, weights, patches, batch_size):
    """Bit for bit: alone, in any order, and in a batch that is not full."""
    predictor = backend(weights, batch_size=batch_size)
    together = predictor(patches)
    order = np.random.default_rng(1).permutation(len(patches))
    shuffled = predictor(patches[order])
    for place, index in enumerate(order):
        alone = predictor(patches[index : index + 1])
        for other, at in ((shuffled, place), (alone, 0)):
            np.testing.assert_array_equal(other.probability[at], together.probability[index])
            np.testing.assert_array_equal(other.students[:, at], together.students[:, index])


def test_a_prediction_outlives_the_next_one(predictor, patches):
    first = predictor(patches[:4])
    kept = first.probability.copy(), first.students.copy()
    predictor(patches[3:])
    np.testing.assert_array_equal(first.probability, kept[0])
    np.testing.assert_array_equal(first.students, kept[1])


def test_a_view_of_a_larger_picture_will_do(predictor, patches):
    view = np.concatenate([patches[:1], patches[1:2]], axis=2)[:, :, PATCH_PX:]
    assert not view.flags.c_contiguous
    np.testing.assert_array_equal(predictor(view).probability, predictor(patches[1:2]).probability)


def test_no_patch_is_no_prediction(predictor, patches):
    prediction = predictor(patches[:0])
    assert prediction.probability.shape == (0, PATCH_PX, PATCH_PX)
    assert prediction.students.shape == (2, 0, PATCH_PX, PATCH_PX)


def test_a_network_without_students_is_its_own_opinion(backend, tmp_path, patches):
    config = NetworkConfig()
    save_ensemble(Ensemble(config, build(config), ()), tmp_path / "weights")
    prediction = backend(tmp_path / "weights")(patches[:1])
    np.testing.assert_array_equal(prediction.students[0], prediction.probability > 0.5)


def test_it_says_what_it_is(predictor):
    library, version, _ = predictor.backend.split(" ")
    assert library in BACKENDS
    assert version[0].isdigit()


OTHER_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from models.inference.choice import load
patches = np.load(sys.argv[2])
for name in sys.argv[3:]:
    seen = load(Path(sys.argv[1]), backend=name, threads=1)(patches)
    np.savez(f"{sys.argv[2]}.{name}", probability=seen.probability, students=seen.students)
"""


def test_it_is_the_same_after_a_restart(weights, patches, tmp_path):
    torch.set_num_threads(1)
    file = tmp_path / "patches.npy"
    np.save(file, patches)
    command = [sys.executable, "-c", OTHER_PROCESS, weights, file, *BACKENDS]
    subprocess.run(command, check=True)
    for name, backend in BACKENDS.items():
        here, there = backend(weights)(patches), np.load(f"{file}.{name}.npz")
        np.testing.assert_array_equal(there["probability"], here.probability)
        np.testing.assert_array_equal(there["students"], here.students)
