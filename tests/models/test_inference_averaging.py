"""Averages change nothing where there is nothing to average, and even out what is there."""

import numpy as np
import pytest
import torch

from models.inference import TorchPredictor
from models.inference.averaging import FLIPS, SQUARE, Averaged
from models.networks import Ensemble, NetworkConfig, build
from models.prediction import PATCH_PX, Prediction


class Pointwise:
    """A predictor that sees single pixels: shifted or flipped, it says the same of each."""

    batch_size = 3
    backend = "numpy test cpu"

    def __init__(self):
        self.calls = []

    def __call__(self, images):
        assert images.shape[1:] == (PATCH_PX, PATCH_PX, 3)
        assert len(images) <= self.batch_size
        self.calls.append(len(images))
        probability = images[..., 0].astype(np.float32) / 255
        return Prediction(probability, np.stack([images[..., 1] > 99, images[..., 2] > 150]))


class Positional(Pointwise):
    """A predictor that goes by the place in the tile alone: 0 at its left edge, 1 at its right."""

    def __call__(self, images):
        ramp = np.linspace(0, 1, PATCH_PX, dtype=np.float32)
        probability = np.broadcast_to(ramp, images.shape[:3]).copy()
        return Prediction(probability, np.stack([probability > 0.3, probability > 0.7]))


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_eight_views_of_a_square_differ_and_come_back():
    image = np.arange(12).reshape(1, 2, 2, 3)
    seen = {view.of(image, (1, 2)).tobytes() for view in SQUARE}
    assert len(seen) == 8
    assert {view.of(image, (1, 2)).tobytes() for view in FLIPS} < seen
    for view in SQUARE:
        np.testing.assert_array_equal(view.back(view.of(image, (1, 2)), (1, 2)), image)


@pytest.mark.parametrize("views", ["flips", "square"])
def test_what_is_the_same_in_every_view_stays(views):
    images = picture(3 * PATCH_PX, PATCH_PX).reshape(3, PATCH_PX, PATCH_PX, 3)
    plain, averaged = Pointwise()(images), Averaged(Pointwise(), views)(images)
    np.testing.assert_allclose(averaged.probability, plain.probability, atol=1e-6)
    np.testing.assert_array_equal(averaged.students, plain.students)


@pytest.mark.parametrize("views", ["flips", "square"])
def test_a_network_that_knows_left_from_right_is_evened_out(views):
    seen = Averaged(Positional(), views)(picture(PATCH_PX, PATCH_PX)[None])
    if views == "flips":
        np.testing.assert_allclose(seen.probability, 0.5, atol=1e-6)
        # ties are membrane: one mirrored half votes for each side beyond 0.3
        assert seen.students[0].all()
        assert not seen.students[1, 0, :, 100:150].any()
        assert seen.students[1, 0, :, :70].all()
        assert seen.students[1, 0, :, -70:].all()
    np.testing.assert_allclose(seen.probability, seen.probability[:, ::-1, ::-1], atol=1e-6)


def test_the_square_of_a_real_network_forgets_how_the_patch_lay():
    torch.manual_seed(0)
    config = NetworkConfig()
    predictor = TorchPredictor(Ensemble(config, build(config), ()), batch_size=1)
    averaged = Averaged(predictor, "square")
    image = picture(PATCH_PX, PATCH_PX)[None]
    turned = np.rot90(image, axes=(1, 2))
    back = np.rot90(averaged(turned).probability, -1, axes=(1, 2))
    np.testing.assert_allclose(back, averaged(image).probability, atol=1e-6)
    plain = np.rot90(predictor(turned).probability, -1, axes=(1, 2))
    assert np.abs(plain - predictor(image).probability).max() > 1e-3


def test_averaging_says_so():
    averaged = Averaged(Pointwise())
    assert averaged.backend == "numpy test cpu, flips averaged"
    assert averaged.batch_size == 3
    with pytest.raises(ValueError, match="flips, square"):
        Averaged(Pointwise(), "rotations")
