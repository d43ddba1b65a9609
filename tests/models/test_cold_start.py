"""The cold start: better than chance, worse than a learner may hope, and blind to its batch."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from models.cold_start import ColdStart, ColdStartParameters
from models.phantom import PhantomSpec, field
from models.prediction import PATCH_PX


def patches(array):
    n = array.shape[0] // PATCH_PX
    tail = array.shape[2:]
    cut = array.reshape(n, PATCH_PX, n, PATCH_PX, *tail).swapaxes(1, 2)
    return np.ascontiguousarray(cut.reshape(n * n, PATCH_PX, PATCH_PX, *tail))


def dice(found, truth):
    return 2 * (found & truth).sum() / max(1, found.sum() + truth.sum())


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_dice_is_better_than_chance_and_leaves_room_to_learn(seed):
    predict = ColdStart()
    found, truth = [], []
    for her2 in ("1+", "2+", "3+"):
        drawn = field(PhantomSpec(her2=her2, seed=seed), 512)
        found.append(predict(patches(drawn.image)).probability > 0.5)
        truth.append(patches(drawn.mask) > 0)
    found, truth = np.concatenate(found), np.concatenate(truth)
    chance = np.random.default_rng(seed).random(truth.shape) < found.mean()
    assert 0.45 <= dice(found, truth) <= 0.72, f"seed {seed}"
    assert dice(found, truth) > 2 * dice(chance, truth), f"seed {seed}"


@pytest.mark.parametrize("brown", [0.0, 0.6])
def test_little_is_proposed_where_no_membrane_is_stained(brown):
    drawn = field(PhantomSpec(her2="0", seed=3, brown_nuclei=brown, cytoplasm=0.2), 512)
    share = (ColdStart()(patches(drawn.image)).probability > 0.5).mean()
    assert share < (0.08 if brown else 0.02)


def test_brown_nuclei_are_lumps_and_a_net_of_thick_membranes_is_none():
    rows, columns = np.mgrid[:256, :256]
    glass, brown = (236, 236, 236), (110, 70, 40)
    nuclei = np.full((1, 256, 256, 3), glass, np.uint8)
    # alone, and two that touch: 10 µm in diameter
    for centre in ((60, 60), (160, 100), (160, 138)):
        nuclei[0][np.hypot(rows - centre[0], columns - centre[1]) < 20] = brown
    assert not (ColdStart()(nuclei).probability > 0.5).any()
    assert ColdStart()(nuclei).students.mean() < 0.005
    before = ColdStart(ColdStartParameters(thickest_px=0))(nuclei)
    assert (before.probability > 0.5).mean() > 0.03
    net = np.full((1, 256, 256, 3), glass, np.uint8)
    for at in range(20, 256, 60):
        net[0, at : at + 12] = net[0, :, at : at + 12] = brown
    lines = (net == brown).all(3)
    assert (ColdStart()(net).probability > 0.5)[lines].mean() > 0.8


def lines(colour, width=4):
    """A net of lines of one colour on glass, and where they are."""
    net = np.full((1, 256, 256, 3), (236, 236, 236), np.uint8)
    for at in range(20, 256, 60):
        net[0, at : at + width] = net[0, :, at : at + width] = colour
    return net, (net == colour).all(3)


@pytest.mark.parametrize(
    "colour", [(120, 120, 120), (90, 90, 160), (110, 110, 110), (205, 90, 150)]
)
def test_grey_blue_and_pink_lines_are_no_membrane(colour):
    net, _ = lines(colour)
    prediction = ColdStart()(net)
    assert not (prediction.probability > 0.5).any()
    assert not prediction.students.any()


@pytest.mark.parametrize("colour", [(150, 105, 70), (90, 50, 25), (180, 150, 130), (60, 30, 15)])
def test_brown_lines_pale_or_dark_are_membrane(colour):
    net, where = lines(colour)
    assert (ColdStart()(net).probability > 0.5)[where].mean() > 0.9


def test_a_dark_place_with_membranes_going_out_of_it_is_kept():
    rows, columns = np.mgrid[:256, :256]
    star = np.full((1, 256, 256, 3), (236, 236, 236), np.uint8)
    away = np.hypot(rows - 128, columns - 128)
    arms = ((abs(rows - 128) < 4) | (abs(columns - 128) < 4)) & (away < 45)
    star[0][(away < 20) | arms] = (90, 50, 25)
    found = ColdStart()(star).probability[0] > 0.5
    assert found[arms & (away > 22)].mean() > 0.8
    # the earlier rule took it for a nucleus
    earlier = ColdStartParameters(longest_arm_px=0, lump_od=(), shortest_px=0)
    assert not (ColdStart(earlier)(star).probability > 0.5)[0][arms].any()


def test_specks_are_none_and_a_row_of_them_is_a_membrane():
    picture = np.full((1, 256, 256, 3), (236, 236, 236), np.uint8)
    picture[0, 40:44, 40:46] = (150, 105, 70)
    for left in range(40, 200, 12):
        picture[0, 150:154, left : left + 6] = (150, 105, 70)
    found = ColdStart()(picture).probability[0] > 0.5
    assert not found[:100].any()
    assert found[150:154, 40:196].mean() > 0.4


def test_glass_and_black_give_nothing():
    plain = np.stack([np.full((256, 256, 3), v, np.uint8) for v in (255, 236, 128, 0)])
    prediction = ColdStart()(plain)
    assert not (prediction.probability > 0.5).any()
    assert not prediction.students.any()


def test_a_patch_does_not_depend_on_its_neighbours_in_the_batch():
    images = patches(field(PhantomSpec(her2="2+", seed=1), 512).image)
    together, alone = ColdStart()(images), ColdStart()(images[2:3])
    assert np.array_equal(together.probability[2], alone.probability[0])
    assert np.array_equal(together.students[:, 2], alone.students[:, 0])
    assert together.probability.dtype == np.float32
    assert 0 <= together.probability.min() <= together.probability.max() <= 1


def test_the_two_students_differ_and_the_probability_lies_between():
    images = patches(field(PhantomSpec(her2="2+", seed=1), 256).image)
    prediction = ColdStart()(images)
    ridge, contrast = prediction.students
    assert (ridge != contrast).mean() > 0.005
    assert (prediction.probability[ridge & contrast] >= 0.5).all()
    assert (prediction.probability[~ridge & ~contrast] <= 0.5).all()


def test_probability_is_roughly_calibrated():
    probability, truth = [], []
    for seed in (1, 2):
        drawn = field(PhantomSpec(her2="3+", seed=seed), 512)
        probability.append(ColdStart()(patches(drawn.image)).probability)
        truth.append(patches(drawn.mask) > 0)
    p, t = np.concatenate(probability), np.concatenate(truth)
    assert t[p < 0.1].mean() < 0.1
    assert t[p < 0.1].mean() < t[(p > 0.4) & (p < 0.6)].mean() < t[p > 0.95].mean()


def test_parameters_are_canonical_json_and_name_the_version():
    first, second = ColdStart(), ColdStart(replace(ColdStartParameters(), ridge_od=0.05))
    assert first.sha256 == hashlib.sha256(first.parameters_json()).hexdigest()
    assert first.sha256 == ColdStart().sha256 != second.sha256
    stored = json.loads(first.parameters_json())
    assert stored["ridge_od"] == ColdStartParameters().ridge_od


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="uint8"):
        ColdStart()(np.zeros((1, 256, 256, 3), np.float32))
    with pytest.raises(ValueError, match="uint8"):
        ColdStart()(np.zeros((256, 256, 3), np.uint8))
