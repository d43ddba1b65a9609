"""The one shape of a method: networks, and the losses of each update that a batch gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

Losses = dict[str, Tensor]
"""Named losses of one update; `total` is what is minimised."""


Grow = Callable[[int], nn.Module]
"""Makes the n-th network of a training, in training mode: 0 the teacher, then the students."""


@dataclass(frozen=True)
class Options:
    """The switches that every method has; a method adds its own in a subclass."""

    loss: str = "dice"
    """`dice` (per image) or `dice+ce` (whole batch Dice and cross entropy)."""
    strong_labelled: bool = False
    """Show the students the strong view of labelled images as well."""

    @property
    def cells(self) -> int:
        """Into how many cells a side a method cuts its crops: their sides are multiples of it."""
        return 1

    @property
    def learns_labelled_twice(self) -> bool:
        """Whether labelled images are drawn as unlabelled ones, too."""
        return False


@dataclass(frozen=True)
class Batch:
    """Normalised images (B, 3, H, W); labels int64 (B, H, W); valid bool, False where ignored.

    The strong views share their weak image's geometry, so a pixel is the same place in all.
    """

    labelled: Tensor
    labelled_strong: Tensor
    labels: Tensor
    valid: Tensor
    unlabelled: Tensor
    unlabelled_strong: tuple[Tensor, Tensor]
    unlabelled_noisy: Tensor
    whole: Tensor
    """Unlabelled images as large as the crops allow (N, 3, H, W), always the same ones."""
    source: Tensor
    """int64 (B,): which labelled image each one was cut from; two halves of the labels are its
    even and its odd numbers."""


class Method(Protocol):
    """Two students or one, and a teacher (for a method without one: the student itself)."""

    @property
    def students(self) -> tuple[nn.Module, ...]: ...
    @property
    def teacher(self) -> nn.Module: ...
    @property
    def extras(self) -> tuple[nn.Module, ...]:
        """What is trained beside the students and left out of the model: critics, projectors."""
        ...

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        """Yield the losses of each update in turn; the loop steps the optimiser between them.

        A weight without a gradient in an update stays as it is: a critic and its adversary learn
        in two updates. Draw anything random from torch's global generator: it is seeded per step.
        """
        ...

    def after_update(self, step: int) -> None:
        """Move what follows the students (an EMA teacher)."""
        ...
