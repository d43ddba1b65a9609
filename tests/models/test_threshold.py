import numpy as np
import pytest

from models.metrics import compare
from models.metrics.threshold import Levels, best_threshold, carried


@pytest.mark.parametrize("shift", [-0.25, 0.0, 0.3])
def test_no_other_hundredth_makes_a_better_mask(shift):
    generator = np.random.default_rng(1)
    masks = generator.choice([0, 127, 255], (3, 40, 40), p=[0.7, 0.1, 0.2]).astype(np.uint8)
    noise = generator.normal(0, 0.15, masks.shape)
    probability = np.clip(masks / 255 * 0.4 + 0.3 + shift + noise, 0, 1).astype(np.float32)
    threshold, dice = best_threshold(probability, masks)

    def pooled(level):
        proposal = (probability * 100).astype(int) >= level
        return compare(proposal.reshape(-1, 40), masks.reshape(-1, 40)).dice

    assert dice == pytest.approx(pooled(round(100 * threshold)))
    assert dice == pytest.approx(max(pooled(level) for level in range(100)))
    assert dice == pytest.approx(
        compare(probability.reshape(-1, 40) >= np.float32(threshold), masks.reshape(-1, 40)).dice,
        abs=0.002,
    )


def test_of_equal_thresholds_the_middle_one_is_taken():
    masks = np.array([0, 0, 255, 255], np.uint8)
    assert best_threshold(np.array([0.1, 0.2, 0.8, 0.9], np.float32), masks) == (0.5, 1.0)
    assert best_threshold(np.array([0.1, 0.2, 0.3, 0.4], np.float32), masks) == (0.3, 1.0)


def test_without_membrane_nothing_can_be_told():
    masks = np.array([0, 0, 127], np.uint8)
    assert best_threshold(np.array([0.1, 0.2, 0.9], np.float32), masks) == (0.5, 1.0)
    assert best_threshold(np.array([0.1, 0.7, 0.9], np.float32), masks) == (0.5, 0.0)


def test_what_proposes_everything_is_no_threshold():
    """A network that sees nothing is not cut at 0: that would say nothing of what it sees."""
    probability, masks = np.zeros(8, np.float32), np.full(8, 255, np.uint8)
    assert best_threshold(probability, masks) == (0.5, 0.0)


def slide(middle: float, seed: int) -> Levels:
    """A slide on which membrane and the rest are told apart best at `middle`."""
    generator = np.random.default_rng(seed)
    masks = generator.choice([0, 255], 5_000, p=[0.8, 0.2]).astype(np.uint8)
    probability = middle + np.where(masks, 0.12, -0.12) + generator.normal(0, 0.05, masks.shape)
    return Levels.of(probability.clip(0, 1).astype(np.float32), masks)


def test_counts_at_a_threshold_are_those_of_the_proposal():
    generator = np.random.default_rng(3)
    masks = generator.choice([0, 127, 255], (40, 40)).astype(np.uint8)
    probability = generator.random((40, 40), np.float32)
    for threshold in (0.01, 0.29, 0.5, 0.57, 0.99):
        proposal = (probability * 100).astype(int) >= round(100 * threshold)
        assert Levels.of(probability, masks).at(threshold) == compare(proposal, masks)


def test_a_threshold_carries_from_slides_to_others():
    found = carried({"a": slide(0.3, 1), "b": slide(0.3, 2), "c": slide(0.32, 3)})
    assert 0.25 <= found.threshold <= 0.36
    assert found.groups == 3
    assert found.elsewhere.keys() == {"a", "b", "c"}
    assert found.dice > found.dice_at_half + 0.1


def test_no_slide_is_judged_at_a_threshold_that_it_chose():
    """On its own pixels each would be cut in its middle: what the others say is far from it."""
    slides = {"a": slide(0.2, 1), "b": slide(0.35, 2)}
    found = carried(slides)
    assert found.elsewhere == {"a": slides["b"].best()[0], "b": slides["a"].best()[0]}
    own = sum(2 * each.at(each.best()[0]).true_positive for each in slides.values())
    assert own > 2 * sum(
        each.at(found.elsewhere[name]).true_positive for name, each in slides.items()
    ), "judged elsewhere is judged harder"


def test_what_does_not_carry_is_not_taken():
    """What one slide says is wrong on the other: 0.5, which lies between them, does better."""
    found = carried({"a": slide(0.32, 1), "b": slide(0.68, 2)})
    assert (found.threshold, dict(found.elsewhere)) == (0.5, {})
    assert found.dice < found.dice_at_half


def test_one_slide_is_too_few_and_a_slide_without_membrane_is_none():
    empty = Levels.of(np.full(100, 0.4, np.float32), np.zeros(100, np.uint8))
    for groups in ({}, {"a": slide(0.3, 1)}, {"a": slide(0.3, 1), "b": empty}):
        found = carried(groups)
        assert (found.threshold, found.dice) == (0.5, None)
    assert carried({"a": slide(0.3, 1), "b": slide(0.3, 2), "c": empty}).threshold < 0.4
