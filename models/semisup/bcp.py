"""BCP, bidirectional copy-paste: labelled images get a box of unlabelled ones, and the reverse.

Source: Bai, Chen, Li, Shen and Wang, CVPR 2023; eugmt.md §2.15. The student learns each pasted
image from the label in its labelled part and from the teacher's in the other. The paper keeps the
largest component of the teacher's labels, which would leave one membrane of many: left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.semisup.losses import segmentation_loss
from models.semisup.method import Batch, Grow, Losses
from models.semisup.paste import boxes, paste
from models.semisup.student_teacher import StudentTeacher, StudentTeacherOptions


@dataclass(frozen=True)
class BcpOptions(StudentTeacherOptions):
    """The paper's, for two-dimensional images."""

    unsupervised_weight: float = 0.5
    labelled_share: float = 0.25
    """Share of the training on labelled images pasted into labelled ones; 0: none."""
    ramp_share: float = 0.0
    """The paper knows no ramp: its student has learned from labels before."""
    box_share: float = 2 / 3
    """The box's share of each side."""


class CopyPaste(StudentTeacher):
    """Mean Teacher whose labelled and unlabelled images share each other's pixels."""

    options: BcpOptions

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        rising, labelled = self.rising(step), self.seen(batch)
        if not rising:
            supervised = self.labelled_alone(labelled, batch)
            yield {"total": supervised, "supervised": supervised}
            return
        with torch.no_grad():
            pseudo = self.teacher(batch.unlabelled).argmax(1)
        supervised, from_teacher = self.both_ways(labelled, pseudo, batch)
        yield {
            "total": supervised + rising * self.options.unsupervised_weight * from_teacher,
            "supervised": supervised,
            "from_teacher": from_teacher,
        }

    def both_ways(
        self, labelled_images: Tensor, pseudo: Tensor, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of the labelled and of the unlabelled parts of the pasted images.

        pseudo: int64 (B, H, W), the teacher's labels. Each is a sum over both directions.
        """
        count = max(len(labelled_images), len(pseudo))
        outer = [cycled(each, count) for each in (labelled_images, batch.labels, batch.valid)]
        # the next labelled image the other way round: no two meet twice
        inner = [each.roll(1, 0) for each in outer]
        unlabelled, pseudo = cycled(batch.unlabelled, count), cycled(pseudo, count)
        box = self.boxes(unlabelled)
        pasted = torch.cat([paste(unlabelled, outer[0], box), paste(inner[0], unlabelled, box)])
        inward, outward = self.student(pasted).chunk(2)
        targets = paste(pseudo, outer[1], box), paste(inner[1], pseudo, box)
        loss = self.options.loss
        labelled = segmentation_loss(loss, inward, targets[0], outer[2] & ~box)
        labelled = labelled + segmentation_loss(loss, outward, targets[1], inner[2] & box)
        guessed = segmentation_loss(loss, inward, targets[0], box)
        return labelled, guessed + segmentation_loss(loss, outward, targets[1], ~box)

    def labelled_alone(self, labelled: Tensor, batch: Batch) -> Tensor:
        """Learn labelled images with a box of the next one in each."""
        box = self.boxes(labelled)
        images, labels, valid = (
            paste(each.roll(1, 0), each, box) for each in (labelled, batch.labels, batch.valid)
        )
        return segmentation_loss(self.options.loss, self.student(images), labels, valid)

    def boxes(self, images: Tensor) -> Tensor:
        share = torch.full_like(images[:, 0, 0, 0], self.options.box_share)
        return boxes(share, share, images)


def cycled(each: Tensor, count: int) -> Tensor:
    """Repeat a batch from its beginning until it has `count` entries."""
    if len(each) == count:
        return each
    return each[torch.arange(count, device=each.device) % len(each)]


def copy_paste(grow: Grow, options: BcpOptions, steps: int) -> CopyPaste:
    return CopyPaste(grow(1), grow(0), options, steps=steps)
