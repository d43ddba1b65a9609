"""The one shape of a method: networks, and the losses of each update that a batch gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

Losses = dict[str, Tensor]
"""Named losses of one update; `total` is what is minimised."""


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


class Method(Protocol):
    """Two students or one, and a teacher (for a method without one: the student itself)."""

    @property
    def students(self) -> tuple[nn.Module, ...]: ...
    @property
    def teacher(self) -> nn.Module: ...

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        """Yield the losses of each update in turn; the loop steps the optimiser between them."""
        ...

    def after_update(self, step: int) -> None:
        """Move what follows the students (an EMA teacher)."""
        ...
