"""The teacher: an exponential moving average of one student or a mix of two (eq. 3, gap 12)."""

import torch
from torch import nn


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
    first, *others = (student.state_dict() for student in students)
    learned = {name for name, _ in teacher.named_parameters()}
    for name, mean in teacher.state_dict().items():
        if name not in learned and not buffers:
            continue
        if not mean.is_floating_point():
            mean.copy_(first[name])
            continue
        target = torch.lerp(others[0][name], first[name], mix) if others else first[name]
        mean.lerp_(target, 1 - decay)
