"""What a doubt is worth, on pixels that can be counted by hand."""

import numpy as np
import pytest

from models.metrics.doubt import auroc, calibration_error, capture


def test_the_most_doubtful_pixels_hold_so_many_of_the_errors():
    doubt = np.array([0.9, 0.8, 0.7, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    errors = np.array([1, 0, 1, 0, 1, 0, 0, 0, 0, 0], bool)
    assert capture(doubt, errors, 0.1) == pytest.approx(1 / 3)
    assert capture(doubt, errors, 0.3) == pytest.approx(2 / 3)
    # of six pixels that nobody doubts one is wrong: half of them find half of it
    assert capture(doubt, errors, 0.7) == pytest.approx((2 + 0.5) / 3)
    assert capture(doubt, errors, 1.0) == 1


def test_a_doubt_that_knows_nothing_finds_its_share():
    errors = np.arange(1000) % 7 == 0
    assert capture(np.zeros(1000), errors, 0.05) == pytest.approx(0.05)
    assert auroc(np.zeros(1000), errors) == 0.5


def test_the_area_is_the_share_of_pairs_in_which_the_error_is_more_doubtful():
    rng = np.random.default_rng(0)
    doubt, errors = rng.integers(0, 9, 500) / 8, rng.random(500) < 0.2
    more = np.sign(doubt[errors][:, None] - doubt[~errors])
    assert auroc(doubt, errors) == pytest.approx((more / 2 + 0.5).mean())


def test_without_an_error_there_is_nothing_to_find():
    assert np.isnan(capture(np.ones(4), np.zeros(4, bool), 0.5))
    assert np.isnan(auroc(np.ones(4), np.zeros(4, bool)))
    assert np.isnan(auroc(np.ones(4), np.ones(4, bool)))


def test_probabilities_that_hold_what_they_say_have_no_error():
    probability = np.repeat([0.25, 0.75, 1.0], 4)
    truth = np.array([1, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1], bool)
    assert calibration_error(probability, truth) == pytest.approx(0)
    assert calibration_error(np.full(4, 0.9), np.zeros(4, bool)) == pytest.approx(0.9)
