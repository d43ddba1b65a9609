"""CPS: two students that began apart, each learning the other's hard labels.

Source: Chen, Yuan, Zeng and Wang, CVPR 2021; weights as in eugmt.md §2.3. There is no
moving average: the first student is what the training leaves behind.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.semisup.losses import cross_entropy, segmentation_loss
from models.semisup.method import Batch, Grow, Losses, Options
from models.semisup.passes import passes
from models.semisup.paste import cut_boxes, partners, paste
from models.semisup.schedules import rise


@dataclass(frozen=True)
class CpsOptions(Options):
    """Defaults of eugmt.md §2.3."""

    loss: str = "dice+ce"
    unsupervised_weight: float = 0.1
    labelled_share: float = 0.0
    """Share of the training in which the students learn from labels alone."""
    ramp_share: float = 1.0
    """Share of the training over which the unsupervised loss rises, once it has begun."""
    joint_batches: bool = False
    """Show labelled and unlabelled images in one batch, so that batch norm sees both."""
    cutmix: bool = False
    """Show the students pasted images, and teach them the labels of the whole ones, pasted."""
    smallest_cut: float = 0.1
    largest_cut: float = 0.5
    """Least and largest share of an image's area that is pasted over."""


class CrossPseudo:
    """Two students and no teacher."""

    def __init__(
        self, students: tuple[nn.Module, nn.Module], options: CpsOptions, *, steps: int
    ) -> None:
        self.students = students
        self.teacher = students[0]
        self.extras: tuple[nn.Module, ...] = ()
        self.options = options
        self.steps = steps

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        options = self.options
        rising = rise(step, self.steps, after=options.labelled_share, during=options.ramp_share)
        labelled = batch.labelled_strong if options.strong_labelled else batch.labelled
        if not rising:
            supervised = self.supervised([student(labelled) for student in self.students], batch)
            yield {"total": supervised, "supervised": supervised}
            return
        unlabelled, pasted_labels = self.pasted(batch.unlabelled)
        (labelled_1, first), (labelled_2, second) = (
            passes(student, [labelled, unlabelled], joint=options.joint_batches)
            for student in self.students
        )
        supervised = self.supervised([labelled_1, labelled_2], batch)
        of_first, of_second = pasted_labels or [each.detach().argmax(1) for each in (first, second)]
        cross = cross_entropy(first, of_second) + cross_entropy(second, of_first)
        yield {
            "total": supervised + rising * options.unsupervised_weight * cross,
            "supervised": supervised,
            "cross_pseudo": cross,
        }

    def supervised(self, logits: list[Tensor], batch: Batch) -> Tensor:
        loss = self.options.loss
        first, second = (
            segmentation_loss(loss, each, batch.labels, batch.valid) for each in logits
        )
        return first + second

    def pasted(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return what the students see and, if it is pasted, each one's labels of it."""
        if not self.options.cutmix:
            return images, []
        options = self.options
        partner = partners(images)
        box = cut_boxes(images, smallest=options.smallest_cut, largest=options.largest_cut)
        with torch.no_grad():
            labels = [student(images).argmax(1) for student in self.students]
        return (
            paste(images[partner], images, box),
            [paste(each[partner], each, box) for each in labels],
        )

    def after_update(self, step: int) -> None:
        """Nothing follows."""


def cross_pseudo(grow: Grow, options: CpsOptions, steps: int) -> CrossPseudo:
    return CrossPseudo((grow(1), grow(2)), options, steps=steps)
