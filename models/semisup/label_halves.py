"""Two students, each taught by one half of the labels: what Duo-SegNet and MMS have in common.

Logits are (B, 2, H, W). A half is the even (0) or the odd (1) numbers of `Batch.source`; an image
of the other half is to a student one without a label.
"""

from torch import Tensor
from torch.nn import functional as F

from models.semisup.losses import segmentation_loss
from models.semisup.method import Batch


def own_images(batch: Batch, half: int) -> Tensor:
    """Return which images of the batch belong to a half: bool (B,)."""
    return batch.source % 2 == half


def supervised_half(name: str, logits: Tensor, batch: Batch, half: int) -> Tensor:
    """Return the named loss over a half's images: 0, without a gradient, if there is none."""
    own = own_images(batch, half)
    loss = segmentation_loss(name, logits, batch.labels, batch.valid & own.view(-1, 1, 1))
    if name == "dice":
        # a mean over all images, in which the other half's Dice of nothing is a loss of 0
        return loss * (len(own) / own.sum().clamp(min=1))
    return loss


def mutual_cross_entropy(first: Tensor, second: Tensor) -> Tensor:
    """H(p1, p2) + H(p2, p1), a mean over pixels; both predictions learn, none is a target."""

    def expected(target: Tensor, logits: Tensor) -> Tensor:
        return -(target.softmax(1) * F.log_softmax(logits, 1)).sum(1).mean()

    return expected(first, second) + expected(second, first)


def membrane_logit(logits: Tensor) -> Tensor:
    """One channel (B, 1, H, W) whose sigmoid is the softmax's probability of membrane."""
    return logits[:, 1:] - logits[:, :1]
