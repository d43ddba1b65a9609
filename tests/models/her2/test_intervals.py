import numpy as np
import pytest

from models.her2.intervals import bounds, redraw, wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # her2.md §5, lower bounds in per cent
        (40, 40, 0.912, 1.0),
        (38, 40, 0.835, 0.986),
        (96, 100, 0.902, 0.984),
        (192, 200, 0.923, 0.980),
        # z² / (n + z²) with z² = 3.8415
        (0, 10, 0.0, 0.2775),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_by_hand(hits, n, low, high):
    found = wilson(hits, n)
    assert found[0] == pytest.approx(low, abs=6e-4)
    assert found[1] == pytest.approx(high, abs=6e-4)


def test_wilson_solves_its_own_equation():
    # the bounds are where |p - k/n| = z·sqrt(p(1 - p)/n)
    for k, n in ((1, 9), (17, 40), (500, 12345)):
        for p in wilson(k, n):
            assert abs(p - k / n) == pytest.approx(1.959964 * np.sqrt(p * (1 - p) / n), rel=1e-6)


def test_wilson_refuses_more_hits_than_trials():
    with pytest.raises(ValueError, match="hits"):
        wilson([1, 5], [4, 4])


def test_draws_keep_the_number_of_rows_and_are_repeatable():
    table = np.array([[1, 10], [1, 20], [1, 40]])
    sums = redraw(table, seed=3, draws=500)
    assert (sums[:, 0] == 3).all()
    assert set(sums[:, 1].tolist()) <= {30, 40, 50, 60, 70, 80, 90, 100, 120}
    np.testing.assert_array_equal(sums, redraw(table, seed=3, draws=500))
    assert (redraw(table, seed=4, draws=500) != sums).any()


def test_draws_have_the_moments_of_a_multinomial():
    values = np.arange(50)[:, None]
    sums = redraw(values, seed=0, draws=4000)[:, 0]
    assert sums.mean() == pytest.approx(values.sum(), rel=0.01)
    assert sums.std() == pytest.approx(values.std() * np.sqrt(50), rel=0.05)


def test_draws_in_chunks_cover_all_draws():
    wide = np.ones((9000, 1), np.int64)
    assert (redraw(wide, seed=1, draws=1000) == 9000).all()


def test_bounds_are_percentiles():
    low, high = bounds(np.arange(1001.0)[:, None])
    assert (low[0], high[0]) == pytest.approx((25, 975))
