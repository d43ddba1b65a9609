"""The losses of the EUGMT family, each a few lines of its equation (eugmt.md §1.2).

Shapes: logits (B, 2, H, W); labels (B, H, W) int64 of 0 and 1; valid (B, H, W) bool, False where
a person said "ignore" (None: all valid).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

SMOOTH = 1e-5


def margin(logits: Tensor) -> Tensor:
    """By how much the membrane's logit leads, (B, H, W): all that a softmax of two depends on."""
    background, membrane = logits.unbind(1)
    return membrane - background


def hard_labels(logits: Tensor) -> Tensor:
    """Return the likelier class of each pixel, int64; of equal ones the background."""
    return (margin(logits.detach()) > 0).long()


def dice_loss(
    logits: Tensor, labels: Tensor, valid: Tensor | None = None, *, whole_batch: bool = False
) -> Tensor:
    """Mean of 1 - Dice over images and classes, denominators without squares.

    `whole_batch`: one Dice a class over all images. An image without membrane then still has a
    useful gradient, which its own Dice would not give.
    """
    lead = margin(logits)
    return dice_of_margin(lead, *in_type_of(lead, labels, valid), whole_batch=whole_batch)


def dice_of_margin(
    lead: Tensor, truth: Tensor, weight: Tensor | None, *, whole_batch: bool
) -> Tensor:
    """`dice_loss` of margins; truth and weight (None: 1) in the margins' type."""
    axes = (0, 1, 2) if whole_batch else (1, 2)
    membrane, background = lead.sigmoid(), (-lead).sigmoid()
    if weight is not None:
        membrane, background, truth = membrane * weight, background * weight, truth * weight
    size, left = truth.sum(axes), background.sum(axes)
    pixels = lead[0].numel() * (len(lead) if whole_batch else 1)
    rest = (pixels if weight is None else weight.sum(axes)) - size
    of_membrane = dice((membrane * truth).sum(axes), membrane.sum(axes) + size)
    # where all is membrane the difference is exactly nought, as its overlap then is
    of_background = dice(left - (background * truth).sum(axes), left + rest)
    return 1 - 0.5 * (of_membrane + of_background).mean()


def dice(overlap: Tensor, total: Tensor) -> Tensor:
    return (2 * overlap + SMOOTH) / (total + SMOOTH)


def cross_entropy(logits: Tensor, labels: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean cross entropy over the valid pixels."""
    lead = margin(logits)
    return entropy_of_margin(lead, *in_type_of(lead, labels, valid))


def entropy_of_margin(lead: Tensor, truth: Tensor, weight: Tensor | None) -> Tensor:
    each = F.softplus(lead) - lead * truth
    if weight is None:
        return each.mean()
    return (each * weight).sum() / weight.sum().clamp(min=1)


def dice_and_cross_entropy(logits: Tensor, labels: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return half the whole batch's Dice loss and half the cross entropy."""
    lead = margin(logits)
    truth, weight = in_type_of(lead, labels, valid)
    dice = dice_of_margin(lead, truth, weight, whole_batch=True)
    return 0.5 * dice + 0.5 * entropy_of_margin(lead, truth, weight)


def in_type_of(lead: Tensor, labels: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return labels and valid in the floating type of the margins."""
    return labels.to(lead.dtype), None if valid is None else valid.to(lead.dtype)


def segmentation_loss(
    name: str, logits: Tensor, labels: Tensor, valid: Tensor | None = None
) -> Tensor:
    """Return the loss that an option names: `dice` or `dice+ce`."""
    chosen = dice_loss if name == "dice" else dice_and_cross_entropy
    return chosen(logits, labels, valid)


def masked_consistency(
    student: Tensor,
    teacher: Tensor,
    weight: Tensor,
    *,
    of: str = "probability",
    over: str = "flagged",
) -> Tensor:
    """Squared difference, summed over classes, mean over flagged pixels (eq. 14).

    student, teacher: logits; weight: bool (B, H, W), the flagged ones, or a weight of each pixel.
    Without a flagged pixel the loss is 0. `of`: `probability`, or `logit` as the text to eq. 14
    has it (gap 5), which has no bound. `over`: `flagged`, or `pixels`: the mean over all of them,
    which is the sum of the pseudo-code's line 14 (gap 4) in a unit that knows no crop.
    """
    if of == "logit":
        squares = (student - teacher).square().sum(1)
    else:
        # of two classes both differ by as much
        squares = 2 * (margin(student).sigmoid() - margin(teacher).sigmoid()).square()
    total = (squares * weight).sum()
    return total / (weight.numel() if over == "pixels" else weight.sum() + 1e-16)


def mean_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Entropy (B, H, W), nats, of the mean of two predictions given as logits."""
    membrane = (margin(student).sigmoid() + margin(teacher).sigmoid()) / 2
    sides = (membrane, 1 - membrane)
    first, second = (side * torch.log(side + 1e-6) for side in sides)
    return -(first + second)
