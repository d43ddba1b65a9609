"""EUGMT, in the order of the paper's equations; without its consistency it is UCMT (eugmt.md §1.2).

Two students and their teacher learn twice from each batch. Where to find what:

- eq. 3, the teacher is a moving average of the students: `after_update`, `teacher.follow`
- eq. 4, a class's threshold, eq. 5, which pixels are confidently of which class, eq. 6, how many of
  all these are, and eq. 7, how many pixels are doubted: `selector.py`, and `confident.py` below it
- eq. 8, the losses' sum and its ramp: `first_update`, `schedules.ramp`
- eq. 9, both students learn the labels: `supervised`
- eq. 10 and eq. 11, each student learns the other's hard labels: `cross_pseudo`
- eq. 12 and eq. 13, both learn the teacher's hard labels: `from_teacher`
- eq. 14, both agree with the teacher on a noisy image where the selector doubts: `consistency`
- the second update: the least certain cells are replaced by the most certain ones (UMIX), and all
  is learned again: `second_update`, `exchange.py`

Round it stand the parts that the paper has not, each off in its preset: `labels_first`, `settling`,
`mixing`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.semisup.eugmt_options import EugmtOptions
from models.semisup.exchange import exchange, sources
from models.semisup.extras import placed_like
from models.semisup.labels_first import LabelsFirst
from models.semisup.losses import hard_labels, masked_consistency, mean_entropy, segmentation_loss
from models.semisup.method import Batch, Grow, Losses
from models.semisup.mixing import MIXTURES, Mixture
from models.semisup.schedules import ema_decay, ramp
from models.semisup.selector import Selector
from models.semisup.settling import Settling
from models.semisup.soft_cl_dice import soft_cl_dice_loss
from models.semisup.teacher import follow


@dataclass(frozen=True)
class Predictions:
    """What all networks say of a batch before they learn from it: logits (B, 2, H, W).

    teacher_labelled: None where nothing is exchanged, and so nobody asks.
    views: the unlabelled images as the students saw them.
    """

    labelled: list[Tensor]
    unlabelled: list[Tensor]
    teacher_labelled: Tensor | None
    teacher_unlabelled: Tensor
    views: tuple[Tensor, Tensor]


class Eugmt:
    """Two students and their teacher; with `consistency_weight` 0 this is UCMT."""

    def __init__(
        self,
        students: tuple[nn.Module, nn.Module],
        teacher: nn.Module,
        options: EugmtOptions,
        *,
        steps: int,
    ) -> None:
        self.students = students
        self.teacher = teacher.requires_grad_(requires_grad=False)
        self.teacher.train(not options.steady_teacher)
        self.options = options
        self.selector = Selector(options, students=len(students))
        memory = self.selector.memory
        self.extras = () if memory is None else (placed_like(memory, teacher),)
        self.ramp_length = round(steps * options.ramp_share)
        self.labels_first = LabelsFirst(students, options, steps=steps)
        self.settling = Settling(
            (teacher, *students), share=options.settled, start=self.labels_first.start
        )

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        labelled = self.labelled_view(batch)
        if self.labels_first.lasts(step):
            logits = [student(labelled) for student in self.labels_first.learners(step)]
            supervised = self.supervised(logits, batch.labels, batch.valid)
            yield {"total": supervised, "supervised": supervised}
            return
        self.settling.before_update(lambda: batch.whole, step)
        rising = ramp(step - self.labels_first.start, self.ramp_length)
        mixture = MIXTURES[self.options.mixing](batch)
        predicted = self.predict(batch, labelled, mixture)
        yield self.first_update(batch, predicted, mixture, rising)
        if self.options.exchanged:
            yield self.second_update(batch, predicted, mixture, rising)

    def after_update(self, step: int) -> None:
        """Have the teacher follow the students (eq. 3)."""
        options = self.options
        self.labels_first.after_update(step)
        followed = self.labels_first.learners(step)
        if len(followed) > 1 and options.alternating:
            followed = (self.students[step % 2],)
        follow(
            self.teacher,
            followed,
            decay=ema_decay(step, options.ema_limit),
            mix=options.student_mix,
            buffers=options.steady_teacher,
        )

    def labelled_view(self, batch: Batch) -> Tensor:
        """Return the labelled images as the students see them."""
        options = self.options
        if not options.strong_labelled:
            return batch.labelled
        weak = round(len(batch.labelled) * options.weak_share)
        if not weak:
            return batch.labelled_strong
        return torch.cat([batch.labelled[:weak], batch.labelled_strong[weak:]])

    def predict(self, batch: Batch, labelled: Tensor, mixture: Mixture) -> Predictions:
        views = mixture.seen(batch.unlabelled_strong)
        on_labelled, on_unlabelled = self.seen_by_students(labelled, views)
        with torch.no_grad():
            teacher_labelled = self.teacher(batch.labelled) if self.options.exchanged else None
            teacher_unlabelled = mixture.given(self.teacher(batch.unlabelled))
        return Predictions(on_labelled, on_unlabelled, teacher_labelled, teacher_unlabelled, views)

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

    def first_update(
        self, batch: Batch, predicted: Predictions, mixture: Mixture, rising: float
    ) -> Losses:
        """Learn labels and pseudo-labels, and agree where the selector doubts (eq. 8)."""
        options, teacher = self.options, predicted.teacher_unlabelled
        sure = self.sure(teacher, mixture.counted)
        supervised = self.supervised(predicted.labelled, batch.labels, batch.valid)
        cross = self.cross_pseudo(predicted.unlabelled, mixture.counted)
        from_teacher = self.from_teacher(predicted.unlabelled, hard_labels(teacher), sure)
        consistency = self.consistency(batch, predicted, mixture)
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

    def supervised(self, logits: list[Tensor], labels: Tensor, valid: Tensor) -> Tensor:
        """Both students learn the labels: a sum (eq. 9)."""
        loss, thin = self.options.loss, self.options.thin_weight
        terms = [segmentation_loss(loss, each, labels, valid) for each in logits]
        if thin:
            terms += [thin * soft_cl_dice_loss(each, labels, valid) for each in logits]
        return torch.stack(terms).sum()

    def cross_pseudo(self, logits: list[Tensor], counted: Tensor) -> Tensor:
        """Each student learns the other's hard labels (eq. 10 and eq. 11, halved)."""
        loss = self.options.loss
        return self.pair(
            *(
                segmentation_loss(loss, learner, hard_labels(giver), self.sure(giver, counted))
                for learner, giver in (logits, reversed(logits))
            )
        )

    def from_teacher(self, logits: list[Tensor], labels: Tensor, sure: Tensor) -> Tensor:
        """Both students learn the teacher's hard labels (eq. 12 and eq. 13, halved)."""
        loss = self.options.loss
        return self.pair(*(segmentation_loss(loss, each, labels, sure) for each in logits))

    def sure(self, logits: Tensor, counted: Tensor) -> Tensor:
        """Where a prediction is sure enough to be learned from: bool (B, H, W)."""
        least = self.options.confidence
        return counted & (logits.detach().softmax(1).amax(1) >= least) if least else counted

    def consistency(self, batch: Batch, predicted: Predictions, mixture: Mixture) -> Tensor:
        """Agreement with the teacher on a noisy image, where the selector says (eq. 14)."""
        options, teacher = self.options, predicted.teacher_unlabelled
        if not options.consistency_weight:
            return teacher.new_zeros(())
        with torch.no_grad():
            noisy = mixture.given(self.teacher(batch.unlabelled_noisy))
        weights = self.selector.weights(predicted.unlabelled, teacher)
        return self.pair(
            *(
                masked_consistency(
                    logits,
                    noisy,
                    weight * mixture.counted,
                    of=options.consistency_of,
                    over=options.consistency_over,
                )
                for logits, weight in zip(predicted.unlabelled, weights, strict=True)
            )
        )

    def pair(self, first: Tensor, second: Tensor) -> Tensor:
        """Put the two students' losses together."""
        both = first + second
        return both if self.options.pair_reduction == "sum" else 0.5 * both

    def second_update(
        self, batch: Batch, predicted: Predictions, mixture: Mixture, rising: float
    ) -> Losses:
        """Learn images whose least certain cells the most certain ones have replaced (UMIX)."""
        options, teacher = self.options, predicted.teacher_unlabelled
        assert predicted.teacher_labelled is not None
        with torch.no_grad():
            labelled_map = self.exchange_map(predicted.labelled, predicted.teacher_labelled)
            unlabelled_map = self.exchange_map(predicted.unlabelled, teacher)

        def mixed(maps: Tensor, index: Tensor) -> Tensor:
            return exchange(maps, index, grid=options.grid)

        labelled = mixed(batch.labelled_strong, labelled_map)
        unlabelled = mixed(predicted.views[0], unlabelled_map)
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

    def exchange_map(self, logits: list[Tensor], teacher: Tensor) -> Tensor:
        first, second = (mean_entropy(each, teacher) for each in logits)
        return sources(first, second, count=self.options.exchanged, grid=self.options.grid)


def eugmt(grow: Grow, options: EugmtOptions, steps: int) -> Eugmt:
    return Eugmt((grow(1), grow(2)), grow(0), options, steps=steps)
