"""The teacher: an exponential moving average of a mix of two students (eq. 3, gap 12)."""

import torch
from torch import nn


@torch.no_grad()
def follow(
    teacher: nn.Module,
    students: tuple[nn.Module, nn.Module],
    *,
    decay: float,
    mix: float,
    buffers: bool,
) -> None:
    """Teacher <- decay * teacher + (1 - decay) * (mix * student 1 + (1 - mix) * student 2).

    `buffers`: batch-norm statistics too; without them a teacher must not be put in eval mode.
    """
    first, second = (student.state_dict() for student in students)
    learned = {name for name, _ in teacher.named_parameters()}
    for name, mean in teacher.state_dict().items():
        if name not in learned and not buffers:
            continue
        if not mean.is_floating_point():
            mean.copy_(first[name])
            continue
        target = torch.lerp(second[name], first[name], mix)
        mean.lerp_(target, 1 - decay)
