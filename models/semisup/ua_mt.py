"""UA-MT: Mean Teacher where the teacher is sure of itself over several noisy looks.

Source: Yu, Wang, Li, Fu and Heng, MICCAI 2019; eugmt.md §2.2.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from models.augment import NOISE_LIMIT, NOISE_SD
from models.semisup.mean_teacher import ConsistencyOptions, ConsistentStudent
from models.semisup.method import Batch, Grow
from models.semisup.schedules import ramp


@dataclass(frozen=True)
class UncertaintyOptions(ConsistencyOptions):
    """Defaults of the paper."""

    looks: int = 8
    """Passes of the teacher, each with its own noise and dropout."""
    sure_at_first: float = 0.75
    """Entropy below which the teacher is sure, as a share of ln 2; it rises to 1 by the ramp."""


class UncertaintyAwareStudent(ConsistentStudent):
    options: UncertaintyOptions

    def counted(self, batch: Batch, student: Tensor, step: int) -> Tensor:
        options = self.options
        share = options.sure_at_first + (1 - options.sure_at_first) * ramp(step, self.steps)
        return self.entropy(batch.unlabelled) < share * math.log(2)

    def entropy(self, images: Tensor) -> Tensor:
        """Entropy (B, H, W), nats, of the teacher's mean probability over its looks."""
        with dropping(self.teacher):
            mean = torch.zeros_like(images[:, :2])
            for _ in range(self.options.looks):
                noise = (torch.randn_like(images) * NOISE_SD).clamp(-NOISE_LIMIT, NOISE_LIMIT)
                mean = mean + self.teacher(images + noise).softmax(1) / self.options.looks
        return -(mean * torch.log(mean + 1e-6)).sum(1)


@contextmanager
def dropping(network: nn.Module) -> Iterator[None]:
    """Let a network's dropout drop, and nothing else of it train."""
    modes = {part: part.training for part in network.modules() if isinstance(part, _DropoutNd)}
    for part in modes:
        part.train()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.train(training)


def uncertainty_aware(
    grow: Grow, options: UncertaintyOptions, steps: int
) -> UncertaintyAwareStudent:
    return UncertaintyAwareStudent(grow(1), grow(0), options, steps=steps)
