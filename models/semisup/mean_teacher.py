"""Mean Teacher: the student's probabilities shall be the teacher's on a noisy image.

Source: Tarvainen and Valpola, NeurIPS 2017; for segmentation, its weights and its schedule as in
eugmt.md §2.1. UA-MT and AC-MT differ from it in which pixels count, and stand on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.semisup.losses import masked_consistency
from models.semisup.method import Batch, Grow, Losses
from models.semisup.passes import passes
from models.semisup.student_teacher import StudentTeacher, StudentTeacherOptions


@dataclass(frozen=True)
class ConsistencyOptions(StudentTeacherOptions):
    """Defaults of eugmt.md §2.1."""

    labelled_share: float = 1 / 30
    """The consistency began after 1,000 of 30,000 steps."""
    steady_teacher: bool = True
    """In training mode its statistics would be those of the noisy images that it alone sees, and
    it is clean ones that it is asked about in the end."""


class ConsistentStudent(StudentTeacher):
    """Mean Teacher; a subclass says where the consistency counts."""

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        rising, labelled = self.rising(step), self.seen(batch)
        if not rising:
            supervised = self.supervised(self.student(labelled), batch)
            yield {"total": supervised, "supervised": supervised}
            return
        parts, joint = [labelled, batch.unlabelled], self.options.joint_batches
        on_labelled, on_unlabelled = passes(self.student, parts, joint=joint)
        with torch.no_grad():
            noisy = self.teacher(batch.unlabelled_noisy)
            counted = self.counted(batch, on_unlabelled, step)
        supervised = self.supervised(on_labelled, batch)
        # the mean over pixels and both classes, where eq. 14 sums over the classes
        consistency = 0.5 * masked_consistency(on_unlabelled, noisy, counted)
        yield {
            "total": supervised + rising * self.options.unsupervised_weight * consistency,
            "supervised": supervised,
            "consistency": consistency,
        }

    def counted(self, batch: Batch, student: Tensor, step: int) -> Tensor:
        """Return the pixels, bool (B, H, W), at which the student shall agree: here all.

        student: its logits of the unlabelled images.
        """
        return torch.ones_like(student[:, 0], dtype=torch.bool)


def mean_teacher(grow: Grow, options: ConsistencyOptions, steps: int) -> ConsistentStudent:
    return ConsistentStudent(grow(1), grow(0), options, steps=steps)
