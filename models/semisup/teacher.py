"""The teacher: an exponential moving average of one student or a mix of two (eq. 3, gap 12)."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def follow(
    teacher: nn.Module,
    students: tuple[nn.Module, ...],
    *,
    decay: float,
    mix: float = 1.0,
    buffers: bool,
) -> None:
    """Teacher <- decay * teacher + (1 - decay) * (mix * student 1 + (1 - mix) * student 2).

    One student alone is followed as it is.
    `buffers`: batch-norm statistics too; without them a teacher must not be put in eval mode.
    """
    means = averaged(teacher, buffers=buffers)
    first, *others = (averaged(student, buffers=buffers) for student in students)
    # All tensors in one call: on a GPU a few kernels instead of hundreds. In place, one student
    # after the other: a mix of large networks laid down first costs more than the average itself.
    of_second = (1 - decay) * (1 - mix) if others else 0.0
    if of_second < 1:
        torch._foreach_lerp_(means, first, 1 - decay / (1 - of_second))
    if others:
        torch._foreach_lerp_(means, others[0], of_second)
    if buffers:
        pairs = zip(teacher.buffers(), students[0].buffers(), strict=True)
        for ours, theirs in pairs:
            if not ours.is_floating_point():
                ours.copy_(theirs)


def averaged(network: nn.Module, *, buffers: bool) -> list[Tensor]:
    """Return what of a network is averaged: its weights, and its buffers of numbers if asked."""
    tensors: list[Tensor] = list(network.parameters())
    if buffers:
        tensors += [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    return tensors
