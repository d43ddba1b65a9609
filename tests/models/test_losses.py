"""Each loss against numbers worked out by hand from its equation."""

import math

import pytest
import torch

from models.semisup.losses import (
    cross_entropy,
    dice_and_cross_entropy,
    dice_loss,
    masked_consistency,
    mean_entropy,
)


def logits_of(membrane):
    """Logits (B, 2, H, W) whose softmax gives these membrane probabilities (B, H, W)."""
    chance = torch.tensor(membrane, dtype=torch.float64)
    return torch.stack([torch.log1p(-chance), torch.log(chance)], 1)


def labels_of(values):
    return torch.tensor(values, dtype=torch.int64)


def test_dice_of_one_image():
    logits, labels = logits_of([[[0.8, 0.4]]]), labels_of([[[1, 0]]])
    # membrane: 2·0.8 / (1.2 + 1); background: 2·0.6 / (0.8 + 1)
    expected = 1 - (1.6 / 2.2 + 1.2 / 1.8) / 2
    assert float(dice_loss(logits, labels)) == pytest.approx(expected, abs=1e-5)


def test_dice_is_a_mean_over_images_or_one_over_the_batch():
    logits, labels = logits_of([[[0.8, 0.4]], [[0.2, 0.2]]]), labels_of([[[1, 0]], [[0, 0]]])
    first = (1.6 / 2.2 + 1.2 / 1.8) / 2
    second = (0.0 + 3.2 / 3.6) / 2  # no membrane: its Dice is 0 whatever is proposed
    assert float(dice_loss(logits, labels)) == pytest.approx(1 - (first + second) / 2, abs=1e-4)
    pooled = (1.6 / 2.6 + 4.4 / 5.4) / 2  # 2·(0.6 + 0.8 + 0.8) of (2.4 + 3)
    assert float(dice_loss(logits, labels, whole_batch=True)) == pytest.approx(1 - pooled, abs=1e-4)


def test_an_image_without_membrane_learns_from_the_batch_alone():
    """Its own Dice has next to no gradient towards less membrane; the batch's has."""
    labels = labels_of([[[1, 0]], [[0, 0]]])
    gradients = []
    for whole_batch in (False, True):
        logits = logits_of([[[0.8, 0.4]], [[0.2, 0.2]]]).requires_grad_()
        membrane = dice_loss(logits, labels, whole_batch=whole_batch)
        membrane.backward()
        gradients.append(float(logits.grad[1, 1].abs().sum()))
    assert gradients[1] > 1.5 * gradients[0]


def test_ignored_pixels_count_for_nothing():
    logits, labels = logits_of([[[0.8, 0.4, 0.99]]]), labels_of([[[1, 0, 0]]])
    valid = torch.tensor([[[True, True, False]]])
    for loss in (dice_loss, cross_entropy, dice_and_cross_entropy):
        shorter = loss(logits[..., :2], labels[..., :2])
        torch.testing.assert_close(loss(logits, labels, valid), shorter)


def test_everything_ignored_is_no_loss_and_no_gradient():
    logits = logits_of([[[0.8, 0.4]]]).requires_grad_()
    loss = dice_and_cross_entropy(logits, labels_of([[[1, 0]]]), torch.zeros(1, 1, 2).bool())
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad.any()


def test_cross_entropy():
    logits, labels = logits_of([[[0.8, 0.4]]]), labels_of([[[1, 0]]])
    expected = -(math.log(0.8) + math.log(0.6)) / 2
    assert float(cross_entropy(logits, labels)) == pytest.approx(expected)
    both = dice_and_cross_entropy(logits, labels)
    dice = dice_loss(logits, labels, whole_batch=True)
    assert float(both) == pytest.approx(0.5 * expected + 0.5 * float(dice))


def test_consistency_is_summed_over_classes_and_averaged_over_flagged_pixels():
    student, teacher = logits_of([[[0.9, 0.2, 0.5]]]), logits_of([[[0.6, 0.4, 0.5]]])
    flagged = torch.tensor([[[True, True, False]]])
    expected = (2 * 0.3**2 + 2 * 0.2**2) / 2
    assert float(masked_consistency(student, teacher, flagged)) == pytest.approx(expected)


def test_consistency_of_logits_is_of_both_classes():
    student = torch.tensor([[[[1.0, 4.0]], [[3.0, 0.0]]]])
    teacher = torch.tensor([[[[0.5, 0.0]], [[1.0, 0.0]]]])
    flagged = torch.tensor([[[True, False]]])
    loss = masked_consistency(student, teacher, flagged, of="logit")
    assert float(loss) == pytest.approx(0.5**2 + 2**2)


def test_consistency_over_all_pixels_is_the_sum_in_their_unit():
    student, teacher = logits_of([[[0.9, 0.2, 0.5]]]), logits_of([[[0.6, 0.4, 0.1]]])
    flagged = torch.tensor([[[True, True, False]]])
    loss = masked_consistency(student, teacher, flagged, over="pixels")
    assert float(loss) == pytest.approx((2 * 0.3**2 + 2 * 0.2**2) / 3)


def test_consistency_of_weighted_pixels_is_their_mean():
    student, teacher = logits_of([[[0.9, 0.2]]]), logits_of([[[0.6, 0.4]]])
    loss = masked_consistency(student, teacher, torch.tensor([[[0.25, 0.75]]]))
    assert float(loss) == pytest.approx(0.25 * 2 * 0.3**2 + 0.75 * 2 * 0.2**2)


def test_nothing_flagged_is_no_consistency_loss():
    student, teacher = logits_of([[[0.9]]]), logits_of([[[0.1]]])
    assert float(masked_consistency(student, teacher, torch.zeros(1, 1, 1).bool())) == 0


def test_entropy_is_of_the_mean_of_both():
    entropy = mean_entropy(logits_of([[[0.9, 0.9]]]), logits_of([[[0.1, 0.9]]]))
    sure = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    torch.testing.assert_close(
        entropy, torch.tensor([[[math.log(2), sure]]], dtype=torch.float64), atol=1e-5, rtol=0
    )
