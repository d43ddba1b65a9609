"""Batch norm's statistics from whole unlabelled images, too, and from then on fixed.

A network that learned from small crops of a few labelled images has the means and variances of
these: of their stain, and of the zeros around a crop, which are a larger part of it than of a whole
image. Whole unlabelled images mend both and need no label (Li et al., Revisiting batch
normalization for practical domain adaptation, 2016; a share of them instead of all: Schneider et
al., NeurIPS 2020).
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

AT_ONCE = 8
"""Images in one batch."""


@torch.no_grad()
def settle(network: nn.Module, images: Tensor, share: float) -> None:
    """Have `share` of the statistics come from these images, the rest stay as it is.

    images: normalised (N, 3, H, W). The network is left in the mode it was in.
    """
    learned = {name: each.clone() for name, each in statistics(network)}
    update_bn(torch.split(images, AT_ONCE), network)
    for name, each in statistics(network):
        each.copy_(torch.lerp(learned[name], each, share))


def fix(networks: Iterable[nn.Module]) -> None:
    """Have batch norm keep its statistics: what is learned is still normalised by its batch."""
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, _BatchNorm):
                layer.momentum = 0.0


def statistics(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the means and variances by name; other buffers of numbers are none of a training's."""
    return ((name, each) for name, each in network.named_buffers() if each.is_floating_point())


class Settling:
    """Part of `eugmt-plus`: the networks know whole unlabelled images before they teach each other.

    Students, too: the teacher follows their statistics.
    """

    def __init__(self, networks: tuple[nn.Module, ...], *, share: float, start: int) -> None:
        self.networks = networks
        self.share = share
        # networks that have learned nothing yet have nothing to settle
        self.start = start if share else 0

    def before_update(self, whole: Callable[[], Tensor], step: int) -> None:
        """Settle all at step `start`. whole: gives normalised unlabelled images (N, 3, H, W)."""
        if not self.start or step < self.start:
            return
        if step == self.start:
            for network in self.networks:
                settle(network, whole(), self.share)
        # at every step: no checkpoint knows of it. A teacher that is not steady would learn those
        # of crops again
        fix(self.networks)
