import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics import Counts, compare


def test_counts_by_hand():
    mask = np.array([[255, 255, 0, 0, 127, 127]], np.uint8)
    proposal = np.array([[True, False, True, False, True, False]])
    counts = compare(proposal, mask)
    assert counts == Counts(true_positive=1, false_positive=1, false_negative=1)
    assert counts.dice == pytest.approx(0.5)
    assert counts.iou == pytest.approx(1 / 3)
    assert counts.precision == counts.recall == 0.5
    assert counts.membrane == 2


def test_nothing_proposed_where_nothing_is_is_right():
    empty = compare(np.zeros((4, 4), np.bool_), np.zeros((4, 4), np.uint8))
    assert empty.dice == empty.iou == empty.precision == empty.recall == 1.0


def test_something_against_nothing_is_wrong():
    some, none = np.ones((4, 4), np.bool_), np.zeros((4, 4), np.uint8)
    assert compare(some, none).dice == 0.0
    assert compare(~some, none + 255).dice == 0.0


@given(st.integers(0, 2**31))
def test_pooled_is_the_sum_of_parts_and_dice_goes_with_iou(seed):
    rng = np.random.default_rng(seed)
    masks = rng.choice(np.array([0, 127, 255], np.uint8), (3, 6, 6))
    proposals = rng.random((3, 6, 6)) < rng.random()
    pooled = sum((compare(p, m) for p, m in zip(proposals, masks, strict=True)), Counts())
    assert pooled == compare(proposals.reshape(18, 6), masks.reshape(18, 6))
    assert pooled.iou == pytest.approx(pooled.dice / (2 - pooled.dice))
