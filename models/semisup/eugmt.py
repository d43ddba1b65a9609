"""EUGMT and, without its consistency term, UCMT (eugmt.md §1.2).

Two students teach each other on unlabelled images, an average of them teaches both, and where
confident learning doubts a student's label against the teacher the two must agree (step 1).
Then the least certain cells are replaced by the most certain and all is learned again (step 2).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.semisup.doubt import flagged
from models.semisup.exchange import exchange, sources
from models.semisup.losses import (
    hard_labels,
    margin,
    masked_consistency,
    mean_entropy,
    segmentation_loss,
)
from models.semisup.method import Batch, Grow, Losses, Options
from models.semisup.schedules import ema_decay, ramp
from models.semisup.teacher import follow


@dataclass(frozen=True)
class MeanTeacherOptions(Options):
    """The switches of eugmt.md §1.3; defaults are the paper's (`eugmt-paper`)."""

    unsupervised_weight: float = 1.0
    consistency_weight: float = 1.0
    labelled_share: float = 0.0
    """Share of the training in which the students learn from labels alone (eugmt.md §4.5):
    pseudo-labels of a network that knows nothing yet teach it to find nothing."""
    fork: bool = False
    """While there are labels alone student 1 learns for both; then student 2 begins as its copy.
    A step costs half as much, and the average of two networks of one origin is a network."""
    ramp_share: float = 1.0
    """Share of the training over which the unsupervised losses rise, once they have begun."""
    ema_limit: float = 0.99
    student_mix: float = 0.99
    """Share of student 1 in the teacher's target (beta, gap 12)."""
    exchanged: int = 2
    grid: int = 16
    steady_teacher: bool = False
    """EMA of the buffers too, and the teacher in eval mode (eugmt.md §4.1)."""
    confidence: float = 0.0
    """A pseudo-label counts where its giver's probability is at least this."""
    joint_batches: bool = False
    """Students see labelled and unlabelled images in one batch, so that batch norm does, too."""
    drop_agreeing: bool = True
    least_share: float = 0.001
    """A class with a smaller share of the pixels is not judged by the selector."""


class MeanTeacher:
    """Two students and their teacher; with `consistency_weight` 0 this is UCMT."""

    def __init__(
        self,
        students: tuple[nn.Module, nn.Module],
        teacher: nn.Module,
        options: MeanTeacherOptions,
        *,
        steps: int,
    ) -> None:
        self.students = students
        self.extras: tuple[nn.Module, ...] = ()
        self.teacher = teacher.requires_grad_(requires_grad=False)
        self.teacher.train(not options.steady_teacher)
        self.options = options
        self.start = round(steps * options.labelled_share)
        self.ramp_length = round(steps * options.ramp_share)

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        options, rising = self.options, ramp(step - self.start, self.ramp_length)
        seen = batch.labelled_strong if options.strong_labelled else batch.labelled
        if step < self.start:
            learners = self.students[:1] if options.fork else self.students
            logits = [student(seen) for student in learners]
            supervised = self.supervised(logits, batch.labels, batch.valid)
            yield {"total": supervised, "supervised": supervised}
            return
        on_labelled, on_unlabelled = self.seen_by_students(seen, batch.unlabelled_strong)
        with torch.no_grad():
            teacher_labelled = self.teacher(batch.labelled)
            teacher_unlabelled = self.teacher(batch.unlabelled)
            teacher_labels = hard_labels(teacher_unlabelled)
            sure = self.sure(teacher_unlabelled)
        supervised = self.supervised(on_labelled, batch.labels, batch.valid)
        cross = self.cross_pseudo(on_unlabelled)
        from_teacher = self.from_teacher(on_unlabelled, teacher_labels, sure)
        consistency = self.consistency(batch, on_unlabelled, teacher_unlabelled)
        unsupervised = options.unsupervised_weight * (cross + from_teacher)
        yield {
            "total": supervised
            + rising * (unsupervised + options.consistency_weight * consistency),
            "supervised": supervised,
            "cross_pseudo": cross,
            "from_teacher": from_teacher,
            "consistency": consistency,
        }
        if not options.exchanged:
            return
        with torch.no_grad():
            labelled_map = self.exchange_map(on_labelled, teacher_labelled)
            unlabelled_map = self.exchange_map(on_unlabelled, teacher_unlabelled)

        def mixed(maps: Tensor, index: Tensor) -> Tensor:
            return exchange(maps, index, grid=options.grid)

        labelled = mixed(batch.labelled_strong, labelled_map)
        unlabelled = mixed(batch.unlabelled_strong[0], unlabelled_map)
        on_labelled, again = self.seen_by_students(labelled, (unlabelled, unlabelled))
        supervised = self.supervised(
            on_labelled, mixed(batch.labels, labelled_map), mixed(batch.valid, labelled_map)
        )
        cross = self.cross_pseudo(again)
        from_teacher = self.from_teacher(
            again, mixed(teacher_labels, unlabelled_map), mixed(sure, unlabelled_map)
        )
        yield {
            "total": supervised + rising * options.unsupervised_weight * (cross + from_teacher),
            "exchanged_supervised": supervised,
            "exchanged_cross_pseudo": cross,
            "exchanged_from_teacher": from_teacher,
        }

    def after_update(self, step: int) -> None:
        options = self.options
        alone = options.fork and step < self.start
        if options.fork and step == self.start - 1:
            first, second = self.students
            second.load_state_dict(first.state_dict())
        follow(
            self.teacher,
            self.students[:1] if alone else self.students,
            decay=ema_decay(step, options.ema_limit),
            mix=options.student_mix,
            buffers=options.steady_teacher,
        )

    def seen_by_students(
        self, labelled: Tensor, unlabelled: tuple[Tensor, Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return each student's logits of the labelled images, and of its unlabelled view."""
        if not self.options.joint_batches:
            return (
                [student(labelled) for student in self.students],
                [s(view) for s, view in zip(self.students, unlabelled, strict=True)],
            )
        both = [
            student(torch.cat([labelled, view])).split([len(labelled), len(view)])
            for student, view in zip(self.students, unlabelled, strict=True)
        ]
        return [pair[0] for pair in both], [pair[1] for pair in both]

    def supervised(self, logits: list[Tensor], labels: Tensor, valid: Tensor) -> Tensor:
        loss = self.options.loss
        return torch.stack([segmentation_loss(loss, each, labels, valid) for each in logits]).sum()

    def cross_pseudo(self, logits: list[Tensor]) -> Tensor:
        """Each student learns the other's hard labels (eq. 10, halved)."""
        first, second = logits
        return 0.5 * (self.learning_from(first, second) + self.learning_from(second, first))

    def learning_from(self, learner: Tensor, giver: Tensor) -> Tensor:
        given = giver.detach()
        return segmentation_loss(self.options.loss, learner, given.argmax(1), self.sure(given))

    def from_teacher(self, logits: list[Tensor], labels: Tensor, sure: Tensor) -> Tensor:
        """Both students learn the teacher's hard labels (eq. 12, halved)."""
        loss = self.options.loss
        first, second = (segmentation_loss(loss, each, labels, sure) for each in logits)
        return 0.5 * (first + second)

    def sure(self, logits: Tensor) -> Tensor:
        """Where a prediction is sure enough to be learned from: bool (B, H, W)."""
        least = self.options.confidence
        if not least:
            return torch.ones_like(logits[:, 0], dtype=torch.bool)
        return logits.softmax(1).amax(1) >= least

    def consistency(self, batch: Batch, logits: list[Tensor], teacher: Tensor) -> Tensor:
        """Agreement with the teacher on a noisy image, at the pixels that CLSC doubts (eq. 14)."""
        options = self.options
        if not options.consistency_weight:
            return teacher.new_zeros(())
        with torch.no_grad():
            noisy = self.teacher(batch.unlabelled_noisy)
            probability = margin(teacher.float()).sigmoid()
            doubts = [
                flagged(
                    margin(each) > 0,
                    probability,
                    drop_agreeing=options.drop_agreeing,
                    least_count=round(options.least_share * probability.numel()),
                )
                for each in logits
            ]
        first, second = (
            masked_consistency(each, noisy, doubt)
            for each, doubt in zip(logits, doubts, strict=True)
        )
        return 0.5 * (first + second)

    def exchange_map(self, logits: list[Tensor], teacher: Tensor) -> Tensor:
        first, second = (mean_entropy(each, teacher) for each in logits)
        return sources(first, second, count=self.options.exchanged, grid=self.options.grid)


def mean_teacher(grow: Grow, options: MeanTeacherOptions, steps: int) -> MeanTeacher:
    return MeanTeacher((grow(1), grow(2)), grow(0), options, steps=steps)
