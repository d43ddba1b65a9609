"""EUGMT and, without its consistency term, UCMT (eugmt.md §1.2).

Two students teach each other on unlabelled images, an average of them teaches both, and where
confident learning doubts a student's label against the teacher the two must agree (step 1).
Then the least certain cells are replaced by the most certain and all is learned again (step 2).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.semisup.eugmt_options import MeanTeacherOptions
from models.semisup.exchange import exchange, sources
from models.semisup.halves import beside
from models.semisup.losses import (
    hard_labels,
    masked_consistency,
    mean_entropy,
    segmentation_loss,
)
from models.semisup.method import Batch, Grow, Losses
from models.semisup.mixing import MIXTURES, Mixture
from models.semisup.schedules import ema_decay, ramp
from models.semisup.selector import Selector
from models.semisup.settling import fix, settle
from models.semisup.soft_cl_dice import soft_cl_dice_loss
from models.semisup.teacher import follow


@dataclass(frozen=True)
class Looks:
    """What all networks say of a batch before they learn from it: logits (B, 2, H, W).

    teacher_labelled: None where nothing is exchanged, and so nobody asks.
    views: the unlabelled images as the students saw them.
    """

    labelled: list[Tensor]
    unlabelled: list[Tensor]
    teacher_labelled: Tensor | None
    teacher_unlabelled: Tensor
    views: tuple[Tensor, Tensor]


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
        self.teacher = teacher.requires_grad_(requires_grad=False)
        self.teacher.train(not options.steady_teacher)
        self.options = options
        self.selector = Selector(options, students=len(students))
        memory = self.selector.memory
        self.extras = () if memory is None else (beside(memory, teacher),)
        self.start = round(steps * options.labelled_share)
        self.ramp_length = round(steps * options.ramp_share)
        self.one_for_both = False
        if options.fork and self.start:
            self.tie()

    def tie(self) -> None:
        """Have student 2 get student 1's gradients while that one learns for both.

        So it is the same network with the same moments in the optimiser when they part: without
        moments its first steps would each be as long as the learning rate, in every weight.
        """
        first, second = self.students
        second.load_state_dict(first.state_dict())
        for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
            if not ours.requires_grad:
                continue

            def give(weight: Tensor, other: nn.Parameter = theirs) -> None:
                if self.one_for_both:
                    other.grad = weight.grad

            ours.register_post_accumulate_grad_hook(give)

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        rising = ramp(step - self.start, self.ramp_length)
        seen = self.labelled_view(batch)
        self.one_for_both = self.options.fork and step < self.start
        if step < self.start:
            learners = self.students[:1] if self.options.fork else self.students
            logits = [student(seen) for student in learners]
            supervised = self.supervised(logits, batch.labels, batch.valid)
            yield {"total": supervised, "supervised": supervised}
            return
        # networks that have learned nothing yet have nothing to settle
        if self.options.settled and self.start:
            self.settle(batch, step)
        mixture = MIXTURES[self.options.mixing](batch)
        looks = self.looks(batch, seen, mixture)
        yield self.first_update(batch, looks, mixture, rising)
        if self.options.exchanged:
            yield self.second_update(batch, looks, mixture, rising)

    def labelled_view(self, batch: Batch) -> Tensor:
        """Return the labelled images as the students see them."""
        options = self.options
        if not options.strong_labelled:
            return batch.labelled
        weak = round(len(batch.labelled) * options.weak_share)
        if not weak:
            return batch.labelled_strong
        return torch.cat([batch.labelled[:weak], batch.labelled_strong[weak:]])

    def settle(self, batch: Batch, step: int) -> None:
        """Have the teacher know whole unlabelled images before it teaches, and the students, whose
        statistics it follows.
        """
        if step == self.start:
            for network in (self.teacher, *self.students):
                settle(network, batch.whole, self.options.settled)
        # at every step: no checkpoint knows of it. A teacher that is not steady would learn those
        # of crops again
        fix((self.teacher, *self.students))

    def looks(self, batch: Batch, seen: Tensor, mixture: Mixture) -> Looks:
        views = mixture.seen(batch.unlabelled_strong)
        on_labelled, on_unlabelled = self.seen_by_students(seen, views)
        with torch.no_grad():
            teacher_labelled = self.teacher(batch.labelled) if self.options.exchanged else None
            teacher_unlabelled = mixture.given(self.teacher(batch.unlabelled))
        return Looks(on_labelled, on_unlabelled, teacher_labelled, teacher_unlabelled, views)

    def first_update(self, batch: Batch, looks: Looks, mixture: Mixture, rising: float) -> Losses:
        """Learn labels and pseudo-labels, and agree where the selector doubts."""
        options, teacher = self.options, looks.teacher_unlabelled
        sure = self.sure(teacher, mixture.counted)
        supervised = self.supervised(looks.labelled, batch.labels, batch.valid)
        cross = self.cross_pseudo(looks.unlabelled, mixture.counted)
        from_teacher = self.from_teacher(looks.unlabelled, hard_labels(teacher), sure)
        consistency = self.consistency(batch, looks, mixture)
        unsupervised = options.unsupervised_weight * (cross + from_teacher)
        agreement = options.consistency_weight * consistency
        if options.ramp_consistency:
            total = supervised + rising * (unsupervised + agreement)
        else:
            total = supervised + rising * unsupervised + agreement
        return {
            "total": total,
            "supervised": supervised,
            "cross_pseudo": cross,
            "from_teacher": from_teacher,
            "consistency": consistency,
        }

    def second_update(self, batch: Batch, looks: Looks, mixture: Mixture, rising: float) -> Losses:
        """Learn images whose least certain cells the most certain ones have replaced."""
        options, teacher = self.options, looks.teacher_unlabelled
        assert looks.teacher_labelled is not None
        with torch.no_grad():
            labelled_map = self.exchange_map(looks.labelled, looks.teacher_labelled)
            unlabelled_map = self.exchange_map(looks.unlabelled, teacher)

        def mixed(maps: Tensor, index: Tensor) -> Tensor:
            return exchange(maps, index, grid=options.grid)

        labelled = mixed(batch.labelled_strong, labelled_map)
        unlabelled = mixed(looks.views[0], unlabelled_map)
        on_labelled, again = self.seen_by_students(labelled, (unlabelled, unlabelled))
        supervised = self.supervised(
            on_labelled, mixed(batch.labels, labelled_map), mixed(batch.valid, labelled_map)
        )
        cross = self.cross_pseudo(again, mixed(mixture.counted, unlabelled_map))
        sure = self.sure(teacher, mixture.counted)
        from_teacher = self.from_teacher(
            again, mixed(hard_labels(teacher), unlabelled_map), mixed(sure, unlabelled_map)
        )
        return {
            "total": supervised + rising * options.unsupervised_weight * (cross + from_teacher),
            "exchanged_supervised": supervised,
            "exchanged_cross_pseudo": cross,
            "exchanged_from_teacher": from_teacher,
        }

    def after_update(self, step: int) -> None:
        options = self.options
        alone = options.fork and step < self.start
        if options.fork and step == self.start - 1:
            # their weights are the same already, batch norm's statistics are not
            first, second = self.students
            second.load_state_dict(first.state_dict())
        followed: tuple[nn.Module, ...] = self.students
        if alone:
            followed = self.students[:1]
        elif options.alternating:
            followed = (self.students[step % 2],)
        follow(
            self.teacher,
            followed,
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
        loss, thin = self.options.loss, self.options.thin_weight
        terms = [segmentation_loss(loss, each, labels, valid) for each in logits]
        if thin:
            terms += [thin * soft_cl_dice_loss(each, labels, valid) for each in logits]
        return torch.stack(terms).sum()

    def pair(self, first: Tensor, second: Tensor) -> Tensor:
        """Put the two students' losses together."""
        both = first + second
        return both if self.options.pair_reduction == "sum" else 0.5 * both

    def cross_pseudo(self, logits: list[Tensor], counted: Tensor) -> Tensor:
        """Each student learns the other's hard labels (eq. 10, halved)."""
        loss = self.options.loss
        return self.pair(
            *(
                segmentation_loss(loss, learner, hard_labels(giver), self.sure(giver, counted))
                for learner, giver in (logits, reversed(logits))
            )
        )

    def from_teacher(self, logits: list[Tensor], labels: Tensor, sure: Tensor) -> Tensor:
        """Both students learn the teacher's hard labels (eq. 12, halved)."""
        loss = self.options.loss
        return self.pair(*(segmentation_loss(loss, each, labels, sure) for each in logits))

    def sure(self, logits: Tensor, counted: Tensor) -> Tensor:
        """Where a prediction is sure enough to be learned from: bool (B, H, W)."""
        least = self.options.confidence
        return counted & (logits.detach().softmax(1).amax(1) >= least) if least else counted

    def consistency(self, batch: Batch, looks: Looks, mixture: Mixture) -> Tensor:
        """Agreement with the teacher on a noisy image, where the selector says (eq. 14)."""
        options, teacher = self.options, looks.teacher_unlabelled
        if not options.consistency_weight:
            return teacher.new_zeros(())
        with torch.no_grad():
            noisy = mixture.given(self.teacher(batch.unlabelled_noisy))
        weights = self.selector.weights(looks.unlabelled, teacher)
        return self.pair(
            *(
                masked_consistency(
                    logits,
                    noisy,
                    weight * mixture.counted,
                    of=options.consistency_of,
                    over=options.consistency_over,
                )
                for logits, weight in zip(looks.unlabelled, weights, strict=True)
            )
        )

    def exchange_map(self, logits: list[Tensor], teacher: Tensor) -> Tensor:
        first, second = (mean_entropy(each, teacher) for each in logits)
        return sources(first, second, count=self.options.exchanged, grid=self.options.grid)


def mean_teacher(grow: Grow, options: MeanTeacherOptions, steps: int) -> MeanTeacher:
    return MeanTeacher((grow(1), grow(2)), grow(0), options, steps=steps)
