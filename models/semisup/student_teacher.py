"""One student and the teacher that follows it: what Mean Teacher and its kin have in common."""

from dataclasses import dataclass

from torch import Tensor, nn

from models.semisup.losses import segmentation_loss
from models.semisup.method import Batch, Options
from models.semisup.schedules import ema_decay, rise
from models.semisup.teacher import follow


@dataclass(frozen=True)
class StudentTeacherOptions(Options):
    """Shares are of the whole training, so that a short one has every phase as well."""

    loss: str = "dice+ce"
    unsupervised_weight: float = 0.1
    labelled_share: float = 0.0
    """Share of the training in which the student learns from labels alone."""
    ramp_share: float = 1.0
    """Share of the training over which the unsupervised loss rises, once it has begun."""
    ema_limit: float = 0.99
    joint_batches: bool = False
    """Show labelled and unlabelled images in one batch, so that batch norm sees both."""
    steady_teacher: bool = False
    """EMA of the buffers too, and the teacher in eval mode (eugmt.md §4.1)."""


class StudentTeacher:
    """A student that learns by gradients and a teacher that is its moving average."""

    options: StudentTeacherOptions

    def __init__(
        self, student: nn.Module, teacher: nn.Module, options: StudentTeacherOptions, *, steps: int
    ) -> None:
        self.student = student
        self.students = (student,)
        self.extras: tuple[nn.Module, ...] = ()
        self.teacher = teacher.requires_grad_(requires_grad=False)
        self.teacher.train(not options.steady_teacher)
        self.options = options
        self.steps = steps

    def rising(self, step: int) -> float:
        """Return the unsupervised losses' factor: 0 while labels teach alone."""
        options = self.options
        return rise(step, self.steps, after=options.labelled_share, during=options.ramp_share)

    def seen(self, batch: Batch) -> Tensor:
        """Return the labelled images as the student is to see them."""
        return batch.labelled_strong if self.options.strong_labelled else batch.labelled

    def supervised(self, logits: Tensor, batch: Batch) -> Tensor:
        return segmentation_loss(self.options.loss, logits, batch.labels, batch.valid)

    def after_update(self, step: int) -> None:
        options = self.options
        decay = ema_decay(step, options.ema_limit)
        follow(self.teacher, self.students, decay=decay, buffers=options.steady_teacher)
