"""Supervised only: what the same network learns from the labels alone. The lower bound."""

from collections.abc import Iterator

from torch import nn

from models.semisup.losses import segmentation_loss
from models.semisup.method import Batch, Grow, Losses, Options


class Supervised:
    """One network, no teacher, labelled images only."""

    def __init__(self, student: nn.Module, options: Options) -> None:
        self.students = (student,)
        self.teacher = student
        self.extras: tuple[nn.Module, ...] = ()
        self.options = options

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        labelled = batch.labelled_strong if self.options.strong_labelled else batch.labelled
        loss = segmentation_loss(
            self.options.loss, self.teacher(labelled), batch.labels, batch.valid
        )
        yield {"total": loss, "supervised": loss}

    def after_update(self, step: int) -> None:
        """Nothing follows."""


def supervised(grow: Grow, options: Options, steps: int) -> Supervised:
    return Supervised(grow(0), options)
