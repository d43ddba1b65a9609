"""The losses of the EUGMT family, each a few lines of its equation (eugmt.md §1.2).

Shapes: logits (B, 2, H, W); labels (B, H, W) int64 of 0 and 1; valid (B, H, W) bool, False where
a person said "ignore" (None: all valid).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

SMOOTH = 1e-5


def one_hot(labels: Tensor) -> Tensor:
    return F.one_hot(labels, 2).movedim(-1, 1).float()


def dice_loss(
    logits: Tensor, labels: Tensor, valid: Tensor | None = None, *, whole_batch: bool = False
) -> Tensor:
    """Mean of 1 - Dice over images and classes, denominators without squares.

    `whole_batch`: one Dice a class over all images. An image without membrane then still has a
    useful gradient, which its own Dice would not give.
    """
    probability, truth = logits.softmax(1), one_hot(labels)
    if valid is not None:
        weight = valid.unsqueeze(1)
        probability, truth = probability * weight, truth * weight
    axes = (0, 2, 3) if whole_batch else (2, 3)
    overlap = (probability * truth).sum(axes)
    total = probability.sum(axes) + truth.sum(axes)
    return (1 - (2 * overlap + SMOOTH) / (total + SMOOTH)).mean()


def cross_entropy(logits: Tensor, labels: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean cross entropy over the valid pixels."""
    each = F.cross_entropy(logits, labels, reduction="none")
    if valid is None:
        return each.mean()
    return (each * valid).sum() / valid.sum().clamp(min=1)


def dice_and_cross_entropy(logits: Tensor, labels: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return half the whole batch's Dice loss and half the cross entropy."""
    dice = dice_loss(logits, labels, valid, whole_batch=True)
    return 0.5 * dice + 0.5 * cross_entropy(logits, labels, valid)


def segmentation_loss(
    name: str, logits: Tensor, labels: Tensor, valid: Tensor | None = None
) -> Tensor:
    """Return the loss that an option names: `dice` or `dice+ce`."""
    chosen = dice_loss if name == "dice" else dice_and_cross_entropy
    return chosen(logits, labels, valid)


def masked_consistency(student: Tensor, teacher: Tensor, flagged: Tensor) -> Tensor:
    """Squared difference of probabilities, summed over classes, mean over flagged pixels (eq. 14).

    student, teacher: logits; flagged: bool (B, H, W). Without a flagged pixel the loss is 0.
    """
    squares = (student.softmax(1) - teacher.softmax(1)).square().sum(1)
    return (squares * flagged).sum() / (flagged.sum() + 1e-16)


def mean_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Entropy (B, H, W), nats, of the mean of two predictions given as logits."""
    mean = (student.softmax(1) + teacher.softmax(1)) / 2
    return -(mean * torch.log(mean + 1e-6)).sum(1)
