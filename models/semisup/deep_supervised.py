"""Labels alone, with a loss on each of a network's heads: TransFuse and FAFuse (eugmt.md §2.12).

A network with one head has one loss, of weight 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional as F

from models.semisup.losses import in_type_of, margin, segmentation_loss
from models.semisup.method import Batch, Grow, Losses, Options

EDGE_PX = 31
"""Side of the surroundings that a pixel is compared with."""
EDGE_WEIGHT = 5.0


@dataclass(frozen=True)
class DeepOptions(Options):
    loss: str = "structure"
    """`structure` (weighted cross entropy and IoU), `dice` or `dice+ce`."""
    head_weights: tuple[float, ...] = (0.5, 0.3, 0.2)
    """Of the loss of the joint head, the transformer's and the coarse one."""


@runtime_checkable
class DeeplySupervised(Protocol):
    """A network that gives the logits of all its heads; the first is the one that predicts."""

    def heads(self, images: Tensor) -> tuple[Tensor, ...]: ...


class DeepSupervised:
    """One network, no teacher, labelled images only, a loss on each head."""

    def __init__(self, student: nn.Module, options: DeepOptions) -> None:
        self.students = (student,)
        self.teacher = student
        self.extras: tuple[nn.Module, ...] = ()
        self.options = options

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        labelled = batch.labelled_strong if self.options.strong_labelled else batch.labelled
        heads = heads_of(self.teacher, labelled)
        weights = self.options.head_weights if len(heads) > 1 else (1.0,)
        losses = [self.loss(logits, batch) for logits in heads]
        total = sum_of(weight * loss for weight, loss in zip(weights, losses, strict=True))
        named = {f"head_{number}": loss for number, loss in enumerate(losses, 1)}
        yield {"total": total, **named}

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        if self.options.loss == "structure":
            return structure_loss(logits, batch.labels, batch.valid)
        return segmentation_loss(self.options.loss, logits, batch.labels, batch.valid)

    def after_update(self, step: int) -> None:
        """Nothing follows."""


def heads_of(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Return the logits (B, 2, H, W) of each of a network's heads."""
    if isinstance(network, DeeplySupervised):
        return network.heads(images)
    return (network(images),)


def sum_of(losses: Iterator[Tensor]) -> Tensor:
    total = next(losses)
    for loss in losses:
        total = total + loss
    return total


def structure_loss(logits: Tensor, labels: Tensor, valid: Tensor | None = None) -> Tensor:
    """Weighted cross entropy + weighted IoU loss, a mean over images (eugmt.md §2.12).

    With the mask m, p its predicted probability and w = 1 + 5 |avgpool31(m) - m|, large at edges
    and thin structures: sum(w bce) / sum(w) + 1 - (sum(w p m) + 1) / (sum(w (p + m - p m)) + 1).
    Outside the image the mask is 0; ignored pixels weigh nothing.
    """
    lead = margin(logits)
    truth, known = in_type_of(lead, labels, valid)
    around = F.avg_pool2d(truth[:, None], EDGE_PX, stride=1, padding=EDGE_PX // 2)[:, 0]
    weight = 1 + EDGE_WEIGHT * (around - truth).abs()
    if known is not None:
        weight = weight * known
    each, membrane, area = F.softplus(lead) - lead * truth, lead.sigmoid(), (1, 2)
    # an image of which nothing is known has no weight at all
    entropy = (weight * each).sum(area) / weight.sum(area).clamp(min=1)
    both = membrane * truth
    overlap, union = (weight * both).sum(area), (weight * (membrane + truth - both)).sum(area)
    return (entropy + 1 - (overlap + 1) / (union + 1)).mean()


def deep_supervised(grow: Grow, options: DeepOptions, steps: int) -> DeepSupervised:
    return DeepSupervised(grow(0), options)
