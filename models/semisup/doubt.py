"""The selector of `confident.py` on tensors: the same pixels, without leaving the device."""

import torch
from torch import Tensor

from models.semisup import confident
from models.semisup.confident import ABSENT, LEAST_THRESHOLD, SLACK


@torch.no_grad()
def flagged(
    labels: Tensor,
    probability: Tensor,
    *,
    drop_agreeing: bool = True,
    least_count: int = 0,
    thresholds: Tensor | None = None,
) -> Tensor:
    """Return the doubtful pixels of one pixel set, bool, shaped as the input.

    labels: bool, any shape; probability: float, the same shape; thresholds: float (2,), None for
    this set's own. See `confident.flagged`. Tensors of the host are its arrays; on another device
    no value is read back, so it is not held up.
    """
    if labels.device.type != "cpu":
        return flagged_by_sorting(
            labels,
            probability,
            drop_agreeing=drop_agreeing,
            least_count=least_count,
            thresholds=thresholds,
        )
    # a training that has lost its numbers is told so by its losses, not here
    numbers = probability.nan_to_num(0.0).numpy()
    return torch.from_numpy(
        confident.flagged(
            labels.numpy(),
            numbers,
            drop_agreeing=drop_agreeing,
            least_count=least_count,
            thresholds=None if thresholds is None else thresholds.tolist(),
        )
    )


@torch.no_grad()
def flagged_by_sorting(
    labels: Tensor,
    probability: Tensor,
    *,
    drop_agreeing: bool,
    least_count: int,
    thresholds: Tensor | None = None,
) -> Tensor:
    """`flagged` without a branch on a value: a number of pixels is compared, never read."""
    given = labels.flatten()
    positive = probability.flatten().double()
    negative = 1 - positive
    counts = class_counts(given)
    if thresholds is None:
        thresholds = mean_self_confidence(given, positive)
    thresholds = thresholds.clamp(min=LEAST_THRESHOLD)
    sure_0, sure_1 = negative >= thresholds[0] - SLACK, positive >= thresholds[1] - SLACK
    guess_1 = torch.where(sure_0 & sure_1, positive > negative, sure_1)
    counted = sure_0 | sure_1
    by_label = torch.stack([~given, given]) & counted
    as_one = (by_label & guess_1).sum(1)
    confident = torch.stack([by_label.sum(1) - as_one, as_one], 1).double()
    confident.diagonal().clamp_(min=1)
    scaled = confident / confident.sum(1, keepdim=True) * counts.unsqueeze(1)
    scaled = scaled / scaled.sum().clamp(min=1e-100) * counts.sum()
    trusted = rounded_diagonal(scaled).clamp(min=1)
    enough = (counts > 1) & (counts >= least_count).all()
    doubtful = torch.where(enough, counts - trusted, 0)

    candidate = torch.ones_like(given)
    if drop_agreeing:
        candidate = torch.where(given, negative >= positive + SLACK, positive > negative + SLACK)
    # one stable sort: candidates of class 0, then of class 1, then everybody else
    self_confidence = torch.where(given, positive, negative)
    key = torch.where(candidate, self_confidence + 2 * given, 10.0)
    order = key.argsort(stable=True)
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=key.device))
    rank_in_class = rank - torch.where(given, (candidate & ~given).sum(), 0)
    issues = candidate & (rank_in_class < torch.where(given, doubtful[1], doubtful[0]))
    return issues.view_as(labels)


def class_counts(labels: Tensor) -> Tensor:
    """Pixels given each label: int64 (2,)."""
    return torch.stack([(~labels).sum(), labels.sum()])


def mean_self_confidence(labels: Tensor, probability: Tensor) -> Tensor:
    """Mean probability of the given label, a class: float64 (2,), `ABSENT` for one without pixels.

    labels: bool, probability: float of the positive class, the same shape (eq. 4).
    """
    positive, counts = probability.double(), class_counts(labels)
    sums = torch.stack([((1 - positive) * ~labels).sum(), (positive * labels).sum()])
    return torch.where(counts > 0, sums / counts.clamp(min=1), ABSENT)


def rounded_diagonal(scaled: Tensor) -> Tensor:
    """Diagonal of a 2x2 matrix rounded to whole numbers with each row's sum kept."""
    whole = scaled.round()
    missing = scaled.sum(1).round() - whole.sum(1)
    lost = scaled - whole
    later = torch.where(missing > 0, lost[:, 1] >= lost[:, 0], lost[:, 1] < lost[:, 0])
    whole = whole + missing.unsqueeze(1) * torch.stack([~later, later], 1)
    return whole.diagonal().long()
