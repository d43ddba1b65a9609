"""The selector that never reads a value back, against the one that may: the same pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.semisup import confident, doubt


@given(st.integers(0, 2**32 - 1), st.integers(4, 3000), st.booleans(), st.sampled_from([0, 20]))
@settings(max_examples=150, deadline=None)
def test_sorting_finds_the_same_pixels(seed, count, drop_agreeing, least_count):
    rng = np.random.default_rng(seed)
    teacher = rng.normal(rng.uniform(-4, 2), rng.uniform(0.1, 4), count)
    labels = teacher + rng.normal(0, rng.uniform(0.1, 3), count) > 0
    probability = 1 / (1 + np.exp(-teacher))
    # equal ones, too: a network that knows nothing yet gives few values
    probability = probability.round(int(rng.integers(1, 9)))
    expected = confident.flagged(
        labels, probability, drop_agreeing=drop_agreeing, least_count=least_count
    )
    found = doubt.flagged_by_sorting(
        torch.from_numpy(labels),
        torch.from_numpy(probability),
        drop_agreeing=drop_agreeing,
        least_count=least_count,
    )
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("shape", [(50,), (2, 5, 5)])
def test_what_is_no_number_is_left_to_the_losses_to_tell(shape):
    labels = torch.arange(50).view(shape) % 2 == 0
    found = doubt.flagged(labels, torch.full(shape, float("nan")))
    assert found.shape == shape
    assert found.dtype == torch.bool
