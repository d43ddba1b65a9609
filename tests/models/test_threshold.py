import numpy as np
import pytest

from models.metrics import compare
from models.metrics.threshold import best_threshold


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
