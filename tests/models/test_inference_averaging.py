"""Averages change nothing where there is nothing to average, and even out what is there."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from models.inference import TorchPredictor
from models.inference.averaging import FLIPS, SQUARE, Averaged
from models.inference.regions import bell, predict_region, starts
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


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
@pytest.mark.parametrize("size", [(1, 1), (256, 256), (100, 300), (257, 255), (700, 513)])
def test_a_region_is_what_its_pixels_are(size, overlap):
    """Any size, up to the last row and column."""
    image = picture(*size)
    seen = predict_region(Pointwise(), image, overlap=overlap)
    assert seen.probability.shape == (1, *size)
    np.testing.assert_allclose(seen.probability[0], image[..., 0] / np.float32(255), atol=1e-6)
    np.testing.assert_array_equal(
        seen.students[:, 0], np.moveaxis(image, 2, 0)[1:] > [[[99]], [[150]]]
    )


def test_without_overlap_a_region_is_its_patches():
    """Bit for bit what the service keeps, where the region is whole patches."""
    torch.manual_seed(0)
    config = NetworkConfig()
    predictor = TorchPredictor(Ensemble(config, build(config), (build(config),)))
    image = picture(PATCH_PX, 2 * PATCH_PX)
    seen = predict_region(predictor, image, overlap=0)
    patches = predictor(np.stack([image[:, :PATCH_PX], image[:, PATCH_PX:]]))
    for index, x in enumerate((0, PATCH_PX)):
        box = np.s_[:, x : x + PATCH_PX]
        np.testing.assert_array_equal(seen.probability[0][box], patches.probability[index])
        np.testing.assert_array_equal(seen.students[:, 0][:, *box], patches.students[:, index])


def test_blending_leaves_no_seam():
    """Where two tiles say the opposite at their common edge, the blend goes over gently."""
    image = picture(PATCH_PX, 4 * PATCH_PX)

    def steepest(overlap):
        seen = predict_region(Positional(), image, overlap=overlap).probability[0]
        assert seen.min() >= 0
        assert seen.max() <= 1
        return np.abs(np.diff(seen, axis=1)).max()

    assert steepest(0) == pytest.approx(1)
    assert steepest(0.25) < 0.15
    assert steepest(0.5) < 0.12


def test_tiles_reach_both_ends_and_leave_no_gap():
    for side in (1, 255, 256, 257, 448, 1000):
        for step in (128, 192, 256):
            found = starts(side, step)
            assert found[0] == 0
            assert found[-1] == max(0, side - PATCH_PX)
            assert all(0 < b - a <= step for a, b in pairwise(found))


def test_weights_fall_from_the_centre_alike_on_all_sides():
    weights = bell()
    assert weights.argmax() in {127 * 256 + 127, 127 * 256 + 128, 128 * 256 + 127, 128 * 256 + 128}
    np.testing.assert_array_equal(weights, weights[::-1])
    np.testing.assert_array_equal(weights, weights.T)
    assert weights[0, 0] == pytest.approx(np.exp(-4 * (127.5 / 256) ** 2 * 4), rel=1e-4)


def test_progress_counts_tiles_and_may_stop_it():
    seen = []

    def progress(done, total):
        seen.append((done, total))
        if done == 6:
            raise KeyboardInterrupt

    predictor = Pointwise()
    with pytest.raises(KeyboardInterrupt):
        predict_region(predictor, picture(600, 600), overlap=0.25, progress=progress)
    assert seen == [(3, 9), (6, 9)]
    assert predictor.calls == [3, 3]


@pytest.mark.parametrize("overlap", [-0.1, 0.6, float("nan")])
def test_a_senseless_overlap_is_refused(overlap):
    with pytest.raises(ValueError, match="overlap"):
        predict_region(Pointwise(), picture(10, 10), overlap=overlap)


@pytest.mark.parametrize("shape", [(0, 10, 3), (10, 10), (10, 10, 4)])
def test_what_is_no_region_is_refused(shape):
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        predict_region(Pointwise(), np.zeros(shape, np.uint8))
