"""What a person is shown first: the order follows what is to be learned, and says why."""

from dataclasses import dataclass

import numpy as np
import pytest

from models.areas import uncertain_pixels
from models.selection import patch_features, patch_scores, quantised, rank
from models.semisup.confident import flagged


@dataclass(frozen=True)
class Patch:
    score: float
    flagged_fraction: float = 0.05
    entropy: float = 0.3


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two patches of probability with a membrane-like band, and two students that err."""
    noise = np.random.default_rng(seed)
    probability = noise.beta(1, 8, (2, 64, 64)).astype(np.float32)
    probability[:, 20:26] = noise.beta(8, 2, (2, 6, 64)).astype(np.float32)
    students = np.stack([probability > 0.5] * 2)
    students[0, 0, 40:46, :30] = True
    students[1, 1, 20:26, 10:40] = False
    return probability, students


def test_uncertain_is_what_either_student_gets_doubtfully() -> None:
    probability, students = scene()
    uncertain = uncertain_pixels(probability, students)
    each = [flagged(labels, probability, least_count=8) for labels in students]
    assert (uncertain == (each[0] | each[1])).all()
    assert uncertain[0, 40:46, :30].mean() > 0.7
    assert uncertain[1, 20:26, 10:40].mean() > 0.7
    assert not uncertain[:, 50:].any()


def test_agreement_leaves_nothing_to_review() -> None:
    probability, _ = scene()
    assert not uncertain_pixels(probability, np.stack([probability > 0.5] * 2)).any()


def test_a_lone_pixel_does_not_flag_half_a_slide() -> None:
    probability, students = scene()
    students[:] = False
    students[:, 0, 0, 0] = True
    assert not uncertain_pixels(probability, students).any()


def test_probabilities_are_stored_with_one_half_on_membranes_side() -> None:
    below = np.nextafter(np.float32(0.5), np.float32(0))
    probability = np.array([[[0, 0.25, below, 0.5, 0.75, 1]]], np.float32)
    assert quantised(probability).tolist() == [[[0, 64, 127, 128, 191, 255]]]


def test_scores_by_hand() -> None:
    stored = np.full((2, 4, 4), 128, np.uint8)
    stored[1] = 0
    uncertain = np.zeros((2, 4, 4), bool)
    uncertain[0, 0, 0] = True
    scores = patch_scores(stored, uncertain)
    assert scores.flagged_fraction.tolist() == [1 / 16, 0]
    assert scores.entropy == pytest.approx([np.log(2), 0], abs=1e-4)
    assert scores.membrane_fraction.tolist() == [1, 0]
    assert scores.score == pytest.approx([0.5 * 0.625 + 0.5, 0], abs=1e-4)


def test_the_entropy_is_that_of_the_probabilities() -> None:
    probability, students = scene()
    scores = patch_scores(quantised(probability), uncertain_pixels(probability, students))
    p = probability.astype(np.float64).clip(1e-9, 1 - 1e-9)
    nats = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean((1, 2))
    assert scores.entropy == pytest.approx(nats, abs=1e-3)
    assert scores.membrane_fraction == pytest.approx((probability >= 0.5).mean((1, 2)))


def test_colours_are_described_by_mean_spread_and_quantile_of_their_density() -> None:
    images = np.random.default_rng(3).integers(0, 256, (3, 37, 41, 3), np.uint8)
    images[1] //= 3
    images[2] = 200
    features = patch_features(images, np.array([0.1, 0.2, 0], np.float32))
    density = -np.log10((images.astype(np.float64) + 1) / 256)
    expected = [
        density.mean((1, 2)),
        density.std((1, 2)),
        np.quantile(density, 0.9, axis=(1, 2)),
        [[0.1], [0.2], [0]],
    ]
    assert features == pytest.approx(np.concatenate(expected, axis=1), abs=1e-6)


def described(probability: np.ndarray, uncertain: np.ndarray, images: np.ndarray) -> tuple:
    scores = patch_scores(quantised(probability), uncertain)
    return scores, patch_features(images, scores.membrane_fraction)


def test_a_patch_is_scored_and_described_by_itself() -> None:
    probability, students = scene()
    images = np.random.default_rng(1).integers(0, 255, (2, 64, 64, 3), np.uint8)
    uncertain = uncertain_pixels(probability, students)
    both = described(probability, uncertain, images)
    one = described(probability[1:], uncertain[1:], images[1:])
    assert both[0].score[1] == one[0].score[0]
    assert (both[1][1] == one[1][0]).all()


def test_every_patch_has_one_place() -> None:
    noise = np.random.default_rng(2)
    patches = [Patch(score) for score in noise.random(1200)]
    ranked = rank(patches, noise.random((1200, 4)), ["a"] * 1200, cap=1200)
    assert sorted(each.index for each in ranked) == list(range(1200))


def test_the_same_seed_gives_the_same_order_and_ties_are_drawn() -> None:
    patches = [Patch(0.5)] * 20
    features = np.zeros((20, 3))
    orders = [
        [each.index for each in rank(patches, features, ["a"] * 20, cap=20, seed=seed)]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_alike_patches_are_not_shown_one_after_another() -> None:
    """Three of one kind score highest, but the second shown is of the other kind."""
    patches = [Patch(0.90), Patch(0.89), Patch(0.88), Patch(0.80)]
    features = np.array([[0, 0], [0, 0], [0, 0], [5, 5]], float)
    ranked = rank(patches, features, ["a"] * 4, cap=4)
    assert [each.index for each in ranked[:2]] == [0, 3]
    assert ranked[1].reason["diversity"] >= 0.5, "the service says that it is unlike"
    assert ranked[3].reason["diversity"] < 0.5


def test_no_slide_takes_more_than_its_share() -> None:
    patches = [Patch(0.9)] * 10 + [Patch(0.1)] * 10
    groups = ["loud"] * 10 + ["quiet"] * 10
    ranked = rank(patches, np.zeros((20, 2)), groups, cap=2)
    first = [groups[each.index] for each in ranked[:4]]
    assert first.count("loud") == first.count("quiet") == 2


def test_the_reason_holds_the_figures() -> None:
    ranked = rank(
        [Patch(0.9, flagged_fraction=0.034, entropy=0.21)], np.zeros((1, 2)), ["a"], cap=1
    )
    assert ranked[0].reason["flagged_fraction"] == 0.034
    assert "text" not in ranked[0].reason, "the service says it, in words"


def test_nothing_to_rank() -> None:
    assert rank([], np.empty((0, 2)), [], cap=1) == []
