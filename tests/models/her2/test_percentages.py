import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.her2.agreement import deming, icc

# Shrout and Fleiss 1979, table 2: six targets, four judges
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_icc_of_the_published_table():
    found = icc(JUDGES)
    # their table 4: ICC(2,1) = .29; the interval as McGraw and Wong's formula gives it
    assert found["value"] == pytest.approx(0.29, abs=0.005)
    assert found["low"] == pytest.approx(0.019, abs=0.0005)
    assert found["high"] == pytest.approx(0.761, abs=0.0005)
    assert (found["n"], found["raters"]) == (6, 4)


def test_icc_by_hand():
    # means 2, 3, 7 of slides and 3, 5 of raters; MSR 28/2 = 14, MSC 6, rest 0, ±1, ±1: 4/2
    found = icc([[1, 3], [3, 3], [5, 9]])
    assert found["value"] == pytest.approx((14 - 2) / (14 + 2 + 2 * (6 - 2) / 3))


def test_a_constant_shift_is_no_agreement_for_icc():
    x = np.linspace(0, 100, 11)
    same, shifted = (icc(np.stack([x, x + shift], axis=1)) for shift in (0, 20))
    assert same["value"] == same["low"] == same["high"] == 1.0
    assert shifted["value"] < 0.9
    assert shifted["low"] < shifted["value"] < shifted["high"]


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 30), st.integers(2, 5), st.integers(0, 2**31), st.floats(0.01, 30))
def test_icc_does_not_mind_unit_or_order_and_lies_in_its_interval(n, k, seed, noise):
    generator = np.random.default_rng(seed)
    x = generator.normal(0, 10, n)[:, None] + generator.normal(0, noise, (n, k))
    found = icc(x)
    other = icc(7 - 3 * x[::-1, ::-1])
    assert found["low"] <= found["value"] <= found["high"] <= 1
    assert other["value"] == pytest.approx(found["value"], abs=1e-6)
    assert other["low"] == pytest.approx(found["low"], abs=1e-6)


def test_icc_covers_the_truth_as_often_as_it_says():
    # variances 9 of slides, 1 of raters, 2 of the rest: 9/12. Few raters make the interval wide
    generator, hits = np.random.default_rng(3), 0
    for _ in range(300):
        x = generator.normal(0, 3, (40, 1)) + generator.normal(0, 1, (1, 3))
        found = icc(x + generator.normal(0, 2**0.5, (40, 3)))
        hits += found["low"] <= 0.75 <= found["high"]
    assert 0.91 <= hits / 300 <= 0.99


def test_deming_by_hand():
    # u = q = 2, p = 1: with equal errors √4/2 = 1; with δ = 4 (-6 + √(36 + 16))/2
    x, y = [1, 2, 3], [1, 3, 2]
    found = deming(x, y)
    assert (found["slope"], found["intercept"]) == (pytest.approx(1), pytest.approx(0))
    assert deming(x, y, ratio=4)["slope"] == pytest.approx(-3 + 13**0.5)
    assert found["slope_low"] is None, "three pairs leave one degree of freedom"


def axis_of(x, y):
    """Slope and intercept of the first principal axis: Deming's line for equal errors."""
    points = np.stack([x, y], axis=1)
    _, _, (along, _) = np.linalg.svd(points - points.mean(axis=0))
    slope = along[1] / along[0]
    return slope, points[:, 1].mean() - slope * points[:, 0].mean()


@settings(max_examples=50, deadline=None)
@given(st.integers(4, 40), st.integers(0, 2**31))
def test_deming_is_the_principal_axis_with_its_jackknife(n, seed):
    generator = np.random.default_rng(seed)
    truth = generator.uniform(0, 100, n)
    x, y = (truth + generator.normal(0, 4, n) for _ in range(2))
    found = deming(x, y)
    whole = np.array(axis_of(x, y))
    assert [found["slope"], found["intercept"]] == pytest.approx(whole.tolist())
    left_out = np.array([axis_of(np.delete(x, k), np.delete(y, k)) for k in range(n)])
    # the jackknife's variance in its other form: (n - 1)/n Σ (b_i - mean)²
    spread = np.sqrt((n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    half = (found["slope_high"] - found["slope_low"]) / 2
    assert half / spread[0] == pytest.approx((found["intercept_high"] - whole[1]) / spread[1])
    turned = deming(y, x)
    assert turned["slope"] * found["slope"] == pytest.approx(1), "neither is the reference"


def test_deming_finds_a_proportional_and_a_constant_error_that_least_squares_flattens():
    generator, hits = np.random.default_rng(8), 0
    for _ in range(200):
        truth = generator.uniform(0, 20, 60)
        x = truth + generator.normal(0, 3, 60)
        y = 2 + 1.2 * truth + generator.normal(0, 3, 60)
        found = deming(x, y)
        hits += found["slope_low"] <= 1.2 <= found["slope_high"]
    assert 0.88 <= hits / 200 <= 0.99
    assert np.polyfit(x, y, 1)[0] < found["slope"]


@pytest.mark.parametrize("pairs", [([], []), ([1], [2]), ([1, 1], [1, 2]), ([1, 2, 3], [5, 5, 5])])
def test_no_line_through_nothing(pairs):
    found = deming(*pairs)
    assert found["n"] == len(pairs[0])
    assert found["slope"] is None
    assert found["intercept_high"] is None


def test_without_a_difference_there_is_no_correlation():
    assert icc(np.ones((5, 2)))["value"] is None
    assert icc([[1, 2]])["value"] is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: icc([1, 2, 3]), "two raters"),
        (lambda: icc([[1, np.nan], [2, 3]]), "finite"),
        (lambda: deming([1, 2], [1, 2, 3]), "one length"),
        (lambda: deming([1, np.inf], [1, 2]), "finite"),
        (lambda: deming([1, 2], [1, 2], ratio=0), "positive"),
    ],
)
def test_what_is_no_table_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
