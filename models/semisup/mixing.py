"""Boxes of unlabelled images replaced before the students see them (eugmt.md §4.4, §4.5).

The teacher sees the images whole and its answer is mixed as they are: CutMix (Yun et al., ICCV
2019; French et al., BMVC 2020), CutOut as in the latter, and labelled pixels as in BCP.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.semisup.bcp import cycled
from models.semisup.method import Batch
from models.semisup.paste import cut_boxes, partners, paste

SMALLEST_BOX, LARGEST_BOX = 0.1, 0.5
"""Shares of an image's area, UniMatch's."""
CERTAIN = 20.0
"""Logit of a class that a person has named: its probability is 1 to eight digits."""

Inside = Callable[[Tensor], Tensor]


def unchanged(each: Tensor) -> Tensor:
    return each


@dataclass(frozen=True)
class Mixture:
    """One drawing of boxes, the same for every view and every answer: pixels stay aligned.

    counted: bool (B, H, W), where the unsupervised losses are taken. box: bool (B, H, W), or None
    where nothing is replaced. image, answer: of a view (B, 3, H, W) and of the teacher's logits
    (B, 2, H, W), what stands in the box.
    """

    counted: Tensor
    box: Tensor | None = None
    image: Inside = unchanged
    answer: Inside = unchanged

    def seen(self, views: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Mix the students' views."""
        first, second = (self.mixed(view, self.image) for view in views)
        return first, second

    def given(self, logits: Tensor) -> Tensor:
        """Mix the teacher's logits of whole images."""
        return self.mixed(logits, self.answer)

    def mixed(self, outside: Tensor, inside: Inside) -> Tensor:
        return outside if self.box is None else paste(inside(outside), outside, self.box)


def whole(batch: Batch) -> Mixture:
    return Mixture(everywhere(batch))


def cut_mix(batch: Batch) -> Mixture:
    """Put a box of another unlabelled image in each."""
    other = partners(batch.unlabelled)

    def of_other(each: Tensor) -> Tensor:
        return each[other]

    return Mixture(everywhere(batch), drawn(batch), of_other, of_other)


def cut_out(batch: Batch) -> Mixture:
    """Blank a box of each image; what nobody can see is not asked for."""
    box = drawn(batch)
    return Mixture(~box, box, torch.zeros_like)


def copy_paste(batch: Batch) -> Mixture:
    """Put a box of a labelled image in each, where the label is then the answer.

    A pixel to ignore is not pasted.
    """
    count = len(batch.unlabelled)
    labels = F.one_hot(cycled(batch.labels, count), 2).movedim(-1, 1)
    return Mixture(
        everywhere(batch),
        drawn(batch) & cycled(batch.valid, count),
        lambda view: cycled(batch.labelled_strong, count).to(view.dtype),
        lambda logits: CERTAIN * labels.to(logits.dtype),
    )


def drawn(batch: Batch) -> Tensor:
    return cut_boxes(batch.unlabelled, smallest=SMALLEST_BOX, largest=LARGEST_BOX)


def everywhere(batch: Batch) -> Tensor:
    return torch.ones_like(batch.unlabelled[:, 0], dtype=torch.bool)


MIXTURES: dict[str, Callable[[Batch], Mixture]] = {
    "none": whole,
    "cut-mix": cut_mix,
    "cut-out": cut_out,
    "copy-paste": copy_paste,
}
