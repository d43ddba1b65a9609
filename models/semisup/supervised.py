"""Supervised only: what the same network learns from the labels alone. The lower bound."""

from collections.abc import Callable, Iterator

from torch import nn

from models.semisup.eugmt import MeanTeacherOptions, segmentation_loss
from models.semisup.method import Batch, Losses


class Supervised:
    """One network, no teacher, labelled images only."""

    def __init__(self, student: nn.Module, options: MeanTeacherOptions) -> None:
        self.students = (student,)
        self.teacher = student
        self.options = options

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        logits = self.teacher(batch.labelled_strong)
        loss = segmentation_loss(self.options, logits, batch.labels, batch.valid)
        yield {"total": loss, "supervised": loss}

    def after_update(self, step: int) -> None:
        """Nothing follows."""


def supervised(
    grow: Callable[[int], nn.Module], options: MeanTeacherOptions, steps: int
) -> Supervised:
    return Supervised(grow(0), options)
