"""The selector against cleanlab, which it must equal to the pixel, in NumPy and in torch."""

import numpy as np
import pytest
import torch
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from cleanlab.filter import find_label_issues
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.semisup import doubt
from models.semisup.confident import at_least, confident_joint, flagged

pytestmark = pytest.mark.filterwarnings("ignore:May not flag all label issues")


def by_cleanlab(labels, probability, filter_by="prune_by_class"):
    columns = np.stack([1 - probability, probability], axis=1)
    return find_label_issues(labels.astype(np.int64), columns, filter_by=filter_by, n_jobs=1)


def by_torch(labels, probability, **options):
    tensors = torch.from_numpy(labels), torch.from_numpy(probability)
    return doubt.flagged(*tensors, **options).numpy()


@st.composite
def pixel_sets(draw):
    """Labels of a student and a teacher's probabilities that agree as much as one likes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(4, 3000))
    teacher = rng.normal(draw(st.floats(-4, 2)), draw(st.floats(0.1, 4)), count)
    student = teacher * draw(st.floats(0, 1)) + rng.normal(
        draw(st.floats(-2, 2)), draw(st.floats(0.1, 4)), count
    )
    labels = student > 0
    labels[0] = False
    labels[1] = True
    return labels, 1 / (1 + np.exp(-teacher))


@given(pixel_sets(), st.sampled_from(["prune_by_class", "prune_by_noise_rate", "both"]))
@settings(max_examples=150, deadline=None)
def test_flagged_pixels_are_cleanlabs(pixels, filter_by):
    labels, probability = pixels
    expected = by_cleanlab(labels, probability, filter_by)
    np.testing.assert_array_equal(flagged(labels, probability), expected)
    np.testing.assert_array_equal(by_torch(labels, probability), expected)


@given(pixel_sets())
@settings(max_examples=100, deadline=None)
def test_joint_and_thresholds_are_cleanlabs(pixels):
    labels, probability = pixels
    columns = np.stack([1 - probability, probability], axis=1)
    ours = confident_joint(labels, probability)
    whole = labels.astype(np.int64)
    np.testing.assert_array_equal(ours.thresholds, get_confident_thresholds(whole, columns))
    np.testing.assert_array_equal(
        ours.joint, compute_confident_joint(whole, columns, calibrate=True)
    )
    assert ours.joint.sum(axis=1).tolist() == ours.counts.tolist()


@given(pixel_sets())
@settings(max_examples=100, deadline=None)
def test_single_precision_is_cleanlabs_too(pixels):
    labels, probability = pixels[0], pixels[1].astype(np.float32)
    assume(len(np.unique(probability)) == len(probability))  # cleanlab leaves ties undefined
    np.testing.assert_array_equal(flagged(labels, probability), by_cleanlab(labels, probability))


def test_a_batch_of_tiles_is_cleanlabs():
    rng = np.random.default_rng(7)
    teacher = rng.normal(-2, 2, 6 * 65_536)
    labels = teacher + rng.normal(0, 1, teacher.size) > 0
    probability = 1 / (1 + np.exp(-teacher))
    expected = by_cleanlab(labels, probability)
    assert expected.any()
    np.testing.assert_array_equal(flagged(labels, probability), expected)
    np.testing.assert_array_equal(by_torch(labels, probability), expected)


@given(pixel_sets(), st.integers(2, 12))
@settings(max_examples=100, deadline=None)
def test_ties_move_pixels_but_not_their_number(pixels, levels):
    labels, probability = pixels
    tied = np.round(probability * levels) / levels
    expected = by_cleanlab(labels, tied)
    ours = flagged(labels, tied)
    for label in (False, True):
        assert (ours & (labels == label)).sum() == (expected & (labels == label)).sum()
    np.testing.assert_array_equal(by_torch(labels, tied), ours)


def test_of_equal_pixels_the_first_are_flagged():
    labels = np.array([True] * 8 + [False] * 6)
    probability = np.array([0.45, 0.95, 0.45, 0.05, 0.45, 0.05, 0.45, 0.95] + [0.2, 0.1] * 3)
    # thresholds 0.475 and 0.85: 0.45 counts for neither, so half of the eight 1s are doubtful
    assert confident_joint(labels, probability).doubtful(1) == 4
    assert np.flatnonzero(flagged(labels, probability)).tolist() == [0, 2, 3, 5]
    assert np.flatnonzero(by_torch(labels, probability)).tolist() == [0, 2, 3, 5]


@pytest.mark.parametrize("label", [False, True])
def test_one_class_alone_flags_nothing(label):
    # cleanlab raises for all 1
    labels = np.full(500, label)
    probability = np.random.default_rng(0).random(500)
    assert not flagged(labels, probability).any()
    assert not by_torch(labels, probability).any()


def test_agreement_everywhere_flags_nothing():
    probability = np.random.default_rng(0).random(5000)
    labels = probability > 0.5
    assert not by_cleanlab(labels, probability).any()
    assert not flagged(labels, probability).any()
    assert not by_torch(labels, probability).any()


def test_contradiction_everywhere_leaves_one_pixel_a_class():
    probability = np.random.default_rng(0).random(5000)
    labels = probability < 0.5
    expected = by_cleanlab(labels, probability)
    assert (~expected & labels).sum() == (~expected & ~labels).sum() == 1
    np.testing.assert_array_equal(flagged(labels, probability), expected)
    np.testing.assert_array_equal(by_torch(labels, probability), expected)


@pytest.mark.parametrize("pixels", [1, 2])
def test_a_handful_of_pixels_is_no_class(pixels):
    rng = np.random.default_rng(1)
    probability = rng.random(65_536)
    labels = np.zeros(65_536, np.bool_)
    labels[rng.integers(0, 65_536, pixels)] = True
    expected = by_cleanlab(labels, probability)
    assert expected.mean() > 0.1  # what the guard is for
    np.testing.assert_array_equal(flagged(labels, probability), expected)
    assert not flagged(labels, probability, least_count=66).any()
    assert not by_torch(labels, probability, least_count=66).any()


@pytest.mark.parametrize("blob", [100, 1000, 3000])
def test_a_membrane_free_tile_is_hardly_flagged(blob):
    rng = np.random.default_rng(blob)
    probability = rng.beta(1, 49, 65_536)
    labels = np.zeros(65_536, np.bool_)
    labels[:blob] = True
    ours = flagged(labels, probability)
    np.testing.assert_array_equal(ours, by_cleanlab(labels, probability))
    assert ours.mean() < 0.06
    literal = flagged(labels, probability, drop_agreeing=False)
    assert literal.mean() > 0.15, "eqs. 4-7 alone flag much of an empty tile"
    np.testing.assert_array_equal(by_torch(labels, probability, drop_agreeing=False), literal)


def test_a_generous_student_under_an_unsure_teacher():
    rng = np.random.default_rng(3)
    probability = np.clip(rng.beta(1.5, 3, 20_000), 0, 1)
    labels = probability + rng.normal(0, 0.15, 20_000) > 0.2
    expected = by_cleanlab(labels, probability)
    assert expected.any()
    np.testing.assert_array_equal(flagged(labels, probability), expected)
    np.testing.assert_array_equal(by_torch(labels, probability), expected)


@pytest.mark.parametrize("wrong", [np.nan, 1.5, -0.1, np.inf])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="within 0 and 1"):
        flagged(np.array([True, False]), np.array([0.5, wrong]))


def test_shape_is_kept_and_shapes_do_not_matter():
    rng = np.random.default_rng(5)
    probability = rng.random((3, 8, 8))
    labels = rng.random((3, 8, 8)) > 0.5
    ours = flagged(labels, probability)
    assert ours.shape == (3, 8, 8)
    np.testing.assert_array_equal(ours.ravel(), flagged(labels.ravel(), probability.ravel()))
    with pytest.raises(ValueError, match="differ"):
        flagged(labels, probability[0])
    with pytest.raises(ValueError, match="bool"):
        flagged(labels.astype(np.uint8), probability)


def test_no_pixel_at_all():
    empty = np.zeros(0, np.bool_), np.zeros(0)
    assert flagged(*empty).shape == (0,)


@given(st.floats(-1, 1))
def test_a_threshold_in_single_precision_parts_the_same_pixels(threshold):
    nearest = np.float32(threshold)
    around = np.nextafter(nearest, np.float32([-2, -2, 2]))
    around[1] = nearest
    np.testing.assert_array_equal(
        around >= at_least(threshold, np.dtype(np.float32)),
        around.astype(np.float64) >= threshold,
    )
