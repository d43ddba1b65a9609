"""Where a student is to agree with its teacher: confident learning, its switches (eugmt.md §1.4).

CLSC judges a student's labels by the teacher's probabilities; EUGMT's consistency counts at the
pixels found doubtful. What else could count there is what an ablation has to ask.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.semisup.confident import ABSENT
from models.semisup.doubt import class_counts, flagged, mean_self_confidence
from models.semisup.losses import margin
from models.semisup.method import Options


@dataclass(frozen=True)
class SelectorOptions(Options):
    """The selector's switches; defaults are the paper's, with the guards of eugmt.md §1.4."""

    consistency_at: str = "doubtful"
    """Which pixels count: `doubtful`; `trusted`, all others (gap 37); `everywhere`; or each by
    how little the teacher believes the student's label, `weighted` (eugmt.md §4.9)."""
    scope: str = "batch"
    """What is one set of pixels to the selector: the `batch`, or each `image` (gap 33)."""
    drop_agreeing: bool = True
    """Leave out what teacher and student agree on; False: eqs. 4-7 alone (gap 36)."""
    least_share: float = 0.001
    """A class with a smaller share of the pixels is not judged by the selector."""
    absent_fallback: str = "zero"
    """Where a class is not judged: no pixel counts, or all do (`full_mse`, AC-MT's)."""
    threshold_memory: float = 0.0
    """Share of the past in the thresholds' moving average; 0: each set's own (eugmt.md §4.9)."""
    boundary_px: int = 0
    """Count only what is this near to the student's or the teacher's boundary; 0: all."""


class Selector:
    """Gives each pixel its weight in the consistency; `memory` is None where nothing is kept."""

    def __init__(self, options: SelectorOptions, *, students: int) -> None:
        self.options = options
        self.memory = Memory(students) if options.threshold_memory else None

    @torch.no_grad()
    def weights(self, students: list[Tensor], teacher: Tensor) -> list[Tensor]:
        """Return (B, H, W) a student, bool or float in 0..1; all logits are (B, 2, H, W)."""
        options, probability = self.options, margin(teacher.float()).sigmoid()
        by_student = []
        for number, logits in enumerate(students):
            given = margin(logits) > 0
            weight = self.weight(number, given, probability)
            if options.boundary_px:
                near = near_boundary(given, options.boundary_px)
                weight = weight * (near | near_boundary(probability > 0.5, options.boundary_px))
            by_student.append(weight)
        return by_student

    def weight(self, number: int, given: Tensor, probability: Tensor) -> Tensor:
        """Weigh one student's labels, bool (B, H, W), by the teacher's probability of membrane."""
        at = self.options.consistency_at
        if at == "everywhere":
            return torch.ones_like(given)
        if at == "weighted":
            return torch.where(given, 1 - probability, probability)
        if self.options.scope == "image":
            pairs = zip(given, probability, strict=True)
            doubt = torch.stack([self.doubtful(number, *pair) for pair in pairs])
        else:
            doubt = self.doubtful(number, given, probability)
        return ~doubt if at == "trusted" else doubt

    def doubtful(self, number: int, given: Tensor, probability: Tensor) -> Tensor:
        """Judge one set of pixels."""
        options = self.options
        least_count = round(options.least_share * probability.numel())
        thresholds = None
        if self.memory is not None:
            own = mean_self_confidence(given, probability)
            thresholds = self.memory.take(number, own, options.threshold_memory)
        doubt = flagged(
            given,
            probability,
            drop_agreeing=options.drop_agreeing,
            least_count=least_count,
            thresholds=thresholds,
        )
        if options.absent_fallback == "full_mse":
            doubt |= (class_counts(given) < max(least_count, 1)).any()
        return doubt


class Memory(nn.Module):
    """Each student's thresholds, averaged over the sets seen: buffers, so a checkpoint has them."""

    def __init__(self, students: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.seen: Tensor
        self.register_buffer("mean", torch.full((students, 2), ABSENT))
        self.register_buffer("seen", torch.zeros(students, 2))

    def take(self, student: int, own: Tensor, limit: float) -> Tensor:
        """Return the thresholds (2,) after this set's own, of which an absent class has none.

        The first set's are taken as they are, as the teacher takes its students' first weights.
        """
        mean, sets = self.mean[student], self.seen[student]
        there = own < ABSENT
        momentum = (1 - 1 / (sets + 1)).clamp(max=limit)
        mean.copy_(torch.where(there, momentum * mean + (1 - momentum) * own, mean))
        sets += there
        # what a later set does to them is not this one's
        return mean.clone()


def near_boundary(mask: Tensor, reach_px: int) -> Tensor:
    """Where the other class is at most so many rows and columns away: bool (B, H, W)."""
    sides = torch.stack([mask, ~mask], 1).float()
    around = F.max_pool2d(sides, 2 * reach_px + 1, stride=1, padding=reach_px)
    return (around > 0).all(1)
