import math

import pytest

from models.semisup.schedules import cosine, ema_decay, poly, ramp, rate, rise


def test_ramp_rises_from_e_to_the_minus_five_to_one():
    assert ramp(0, 100) == pytest.approx(math.exp(-5))
    assert ramp(50, 100) == pytest.approx(math.exp(-1.25))
    assert ramp(100, 100) == ramp(5000, 100) == 1.0
    assert ramp(0, 0) == 1.0


def test_mean_of_the_ramp_over_a_training():
    # eugmt.md gap 24: 0.40 with t_m = T
    assert sum(ramp(step, 1000) for step in range(1000)) / 1000 == pytest.approx(0.40, abs=0.005)


def test_the_rise_begins_and_ends_at_shares_of_the_training():
    for steps in (10, 1000):
        middle = [rise(step, steps, after=0.5, during=0.2) for step in range(steps)]
        assert middle[: steps // 2] == [0.0] * (steps // 2)
        assert middle[steps // 2] == pytest.approx(math.exp(-5))
        assert middle[steps * 6 // 10] == pytest.approx(math.exp(-1.25))
        assert middle[steps * 7 // 10 :] == [1.0] * (steps * 3 // 10)
    assert rise(0, 100, after=0.0, during=0.0) == 1.0


def test_the_teacher_copies_the_students_at_first():
    assert ema_decay(0, 0.99) == 0.0
    assert ema_decay(1, 0.99) == 0.5
    assert ema_decay(9, 0.99) == pytest.approx(0.9)
    assert ema_decay(10_000, 0.99) == 0.99


def test_the_rate_warms_up_and_falls_to_nothing():
    assert cosine(0, 110, warm_up=10) == pytest.approx(0.1)
    assert cosine(9, 110, warm_up=10) == 1.0
    assert cosine(10, 110, warm_up=10) == 1.0
    assert cosine(60, 110, warm_up=10) == pytest.approx(0.5)
    assert cosine(109, 110, warm_up=10) < 0.001
    assert cosine(0, 10) == 1.0


def test_poly_warms_up_and_falls_to_nothing():
    assert poly(0, 110, warm_up=10) == pytest.approx(0.1)
    assert poly(10, 110, warm_up=10) == 1.0
    assert poly(60, 110, warm_up=10) == pytest.approx(0.5**0.9)
    assert poly(109, 110, warm_up=10) == pytest.approx(0.01**0.9)
    assert poly(10, 10) == 0.0


def test_a_rate_has_a_name():
    assert rate("constant", 3, 10, warm_up=5) == 1.0
    assert rate("cosine", 60, 110, warm_up=10) == pytest.approx(0.5)
    assert rate("poly", 60, 110, warm_up=10) == pytest.approx(0.5**0.9)
    with pytest.raises(ValueError, match="constant, cosine, poly"):
        rate("linear", 0, 10)
