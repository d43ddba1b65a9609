"""MMS, Min-Max Similarity: two students on two halves of the labels, contrasted (eugmt.md §2.7).

Lou, Tawfik, Yao, Liu, Noble: Min-Max Similarity: A Contrastive Semi-Supervised Deep Learning
Network for Surgical Tools Segmentation, IEEE TMI 2023. With l the membrane logit of a student,
P the projector and C the classifier, both shared by the students and trained with them:

    L = (L_sup + L_diff + L_con + L_con_sup) / 4

L_con pulls P(l1) and P(l2) of an unlabelled image together, place by place, and away from its
other places; L_con_sup has negatives alone and pushes C(l1) of an image of one half away from
C(l2) of an image of the other. In the released code P and C never learn and L_diff is a constant.

Choices: both contrasts are taken in both directions, because keys are constants and one direction
would teach one student only; the unlabelled images are the study's strong views in place of
GridMask; the number of places follows the images instead of being fixed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.semisup.contrast import pixel_contrast, repulsion
from models.semisup.extras import placed_like
from models.semisup.label_halves import (
    membrane_logit,
    mutual_cross_entropy,
    own_images,
    supervised_half,
)
from models.semisup.method import Batch, Grow, Losses, Options
from models.semisup.schedules import rise


@dataclass(frozen=True)
class MinMaxOptions(Options):
    """The paper's values; all four terms weigh a quarter."""

    loss: str = "structure"
    """`structure`: weighted cross entropy and weighted IoU, both heavier near edges; or one of
    the shared losses."""
    labelled_share: float = 0.0
    """Share of the training in which the students learn from labels alone."""
    ramp_share: float = 0.0
    """Share of the training over which the other losses rise; the paper knows no ramp."""
    term_weight: float = 0.25
    temperature: float = 0.07
    edge_weight: float = 5.0
    edge_window: int = 31
    """Side, px, of the window whose mean tells how near an edge is; odd."""


def embedding(*widths: int) -> nn.Sequential:
    """3x3 convolutions, each followed by a halving: (B, widths[0], H, W) to features.

    The last one is not rectified: features that can't be negative can't be pushed further apart
    than to a right angle. Batch norm keeps no running statistics, since it is never evaluated.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs, track_running_stats=False),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    del layers[-2]
    return nn.Sequential(*layers)


def structure_loss(
    logits: Tensor, labels: Tensor, valid: Tensor, *, edge_weight: float, window: int
) -> Tensor:
    """Weighted binary cross entropy and 1 - weighted IoU of each image, added: (B,).

    logits, the membrane's, and labels, valid: (B, H, W). The weight of a pixel is
    1 + edge_weight * |mean of the labels around it - its label|, 0 where it is to be ignored.
    """
    truth = labels.to(logits.dtype)
    around = F.avg_pool2d(
        truth.unsqueeze(1), window, stride=1, padding=window // 2, count_include_pad=False
    ).squeeze(1)
    weight = (1 + edge_weight * (around - truth).abs()) * valid
    each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    cross_entropy = (weight * each).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)
    probability = logits.sigmoid()
    shared = (weight * probability * truth).sum((1, 2))
    either = (weight * (probability + truth)).sum((1, 2)) - shared
    return cross_entropy + 1 - (shared + 1) / (either + 1)


def places(features: Tensor) -> Tensor:
    """L1-normalised features of every place: (B, C, H, W) to (B, H * W, C)."""
    return F.normalize(features, p=1, dim=1).flatten(2).transpose(1, 2)


class MinMaxSimilarity:
    """Two students and, as extras, what their logits are compared by; the model is student 1."""

    def __init__(
        self,
        students: tuple[nn.Module, nn.Module],
        projector: nn.Module,
        classifier: nn.Module,
        options: MinMaxOptions,
        *,
        steps: int,
    ) -> None:
        self.students = students
        self.teacher = students[0]
        self.projector, self.classifier = projector, classifier
        self.extras: tuple[nn.Module, ...] = (projector, classifier)
        self.options = options
        self.steps = steps

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        options = self.options
        rising = rise(step, self.steps, after=options.labelled_share, during=options.ramp_share)
        labelled = batch.labelled_strong if options.strong_labelled else batch.labelled
        on_labelled = [student(labelled) for student in self.students]
        supervised = self.supervised(on_labelled, batch)
        if not rising:
            yield {"total": options.term_weight * supervised, "supervised": supervised}
            return
        on_unlabelled = [
            student(view)
            for student, view in zip(self.students, batch.unlabelled_strong, strict=True)
        ]
        agreement = mutual_cross_entropy(*on_unlabelled)
        similar = self.similar(on_unlabelled)
        apart = self.apart(on_labelled, batch)
        yield {
            "total": options.term_weight * (supervised + rising * (agreement + similar + apart)),
            "supervised": supervised,
            "agreement": agreement,
            "similar": similar,
            "apart": apart,
        }

    def after_update(self, step: int) -> None:
        """Nothing follows."""

    def supervised(self, logits: list[Tensor], batch: Batch) -> Tensor:
        """Each student's loss on its half of the labels, both added."""
        first, second = (self.half(each, batch, half) for half, each in enumerate(logits))
        return first + second

    def half(self, logits: Tensor, batch: Batch, half: int) -> Tensor:
        options = self.options
        if options.loss != "structure":
            return supervised_half(options.loss, logits, batch, half)
        own = own_images(batch, half)
        each = structure_loss(
            membrane_logit(logits).squeeze(1),
            batch.labels,
            batch.valid,
            edge_weight=options.edge_weight,
            window=options.edge_window,
        )
        return (each * own).sum() / own.sum().clamp(min=1)

    def similar(self, logits: list[Tensor]) -> Tensor:
        """L_con: a place of an unlabelled image is alike in both students' projections."""
        first, second = (places(self.projector(membrane_logit(each))) for each in logits)
        temperature = self.options.temperature
        both = [
            pixel_contrast(queries, keys, temperature=temperature).mean()
            for one, other in zip(first, second, strict=True)
            for queries, keys in ((one, other), (other, one))
        ]
        return torch.stack(both).mean()

    def apart(self, logits: list[Tensor], batch: Batch) -> Tensor:
        """L_con_sup: two images of different halves have no place alike.

        A mean over the batch's pairs of an image of student 1's half and one of student 2's;
        0 if there is no such pair.
        """
        first, second = (places(self.classifier(membrane_logit(each))) for each in logits)
        pairs = own_images(batch, 0).unsqueeze(1) & own_images(batch, 1)
        temperature = self.options.temperature

        def against(queries: Tensor, keys: Tensor) -> Tensor:
            """Mean repulsion (A, B) of each image of the queries by each image of the keys."""
            flat = queries.flatten(0, 1)
            each = [repulsion(flat, image, temperature=temperature) for image in keys]
            return torch.stack(each, 1).reshape(*queries.shape[:2], len(keys)).mean(1)

        both = 0.5 * (against(first, second) + against(second, first).T)
        return (both * pairs).sum() / pairs.sum().clamp(min=1)


def min_max_similarity(grow: Grow, options: MinMaxOptions, steps: int) -> MinMaxSimilarity:
    students = (grow(1), grow(2))
    projector, classifier = (
        placed_like(embedding(*widths), students[0]) for widths in ((1, 8, 16), (1, 8, 16, 32))
    )
    return MinMaxSimilarity(students, projector, classifier, options, steps=steps)
