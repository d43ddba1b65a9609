"""CRCFP: consistency in varying contexts and under perturbed features (eugmt.md §2.9).

Bashir, Qaiser, Raza, Rajpoot: Consistency Regularisation in Varying Contexts and Feature
Perturbations for Semi-Supervised Semantic Segmentation of Histology Images, 2023
(arXiv 2301.13141); the contrast is that of Lai et al., CVPR 2021. One network:

    L = L_sup + 0.1 L_contrast + 0.01 L_aux + 0.01 L_ent

L_contrast: two overlapping crops of an image see the same pixel in two contexts; the less sure
one's feature follows the surer one's. L_aux: 1x1 heads on perturbed features predict what the
head on the plain ones does, where that is sure. L_ent: predictions shall be sure. In the released
code L_ent has no gradient; here it has one.

Choices: features are what the network's head reads, at a stride of 2 at least; the crops are the
two strong views' opposite corners (images are turned and flipped beforehand, so the corners are
random), 3/4 of the side rounded to a multiple of 32 px, which is less than all from 96 px on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.networks import CLASSES, classify, encode, merge
from models.semisup.contrast import labelled_contrast
from models.semisup.extras import placed_like
from models.semisup.losses import segmentation_loss
from models.semisup.method import Batch, Grow, Losses, Options
from models.semisup.perturb import drop_active, drop_channels, noise
from models.semisup.schedules import rise

CROP_MULTIPLE = 32


@dataclass(frozen=True)
class ContextOptions(Options):
    """The paper's values, but for `loss`."""

    loss: str = "dice+ce"
    """The paper's is cross entropy alone; with the Dice loss beside it, as the other methods."""
    labelled_share: float = 0.0
    """Share of the training in which the network learns from labels alone."""
    ramp_share: float = 0.0
    """Share of the training over which the other losses rise; the paper knows no ramp."""
    contrast_weight: float = 0.1
    auxiliary_weight: float = 0.01
    entropy_weight: float = 0.01
    confidence: float = 0.75
    """The probability from which on a prediction is followed, by a feature or by a head."""
    temperature: float = 0.1
    negatives: int = 1200
    """Features of either crop, of this step alone, that the pixels of another label keep off."""
    crop_share: float = 0.75
    hidden: int = 256
    projected: int = 128
    """Channels within and after the projector."""
    channels_dropped: int = 6
    activity_dropped: int = 6
    noises: int = 6
    """How many auxiliary heads see each perturbation."""
    dropout: float = 0.5
    least_active: float = 0.6
    most_active: float = 0.9
    noise_limit: float = 0.3


@dataclass(frozen=True)
class Seen:
    """One crop's overlap, a row a pixel: unit features (P, C), confidence (P,), label (P,)."""

    features: Tensor
    confidence: Tensor
    labels: Tensor


def crop_side(side: int, share: float) -> int:
    """Return a share of an image's side, px, rounded to what every network can halve."""
    return min(side, CROP_MULTIPLE * max(1, int(share * side / CROP_MULTIPLE + 0.5)))


def confident_error(logits: Tensor, target: Tensor, *, confidence: float) -> Tensor:
    """Squared error of probabilities, a mean over classes and pixels whose target is sure.

    logits and target, probabilities and a constant: (B, 2, H, W).
    """
    sure = target.amax(1) > confidence
    errors = (logits.softmax(1) - target).square().mean(1)
    return (errors * sure).sum() / sure.sum().clamp(min=1)


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy, nats, of the predictions."""
    return -(logits.softmax(1) * F.log_softmax(logits, 1)).sum(1).mean()


def rows(maps: Tensor) -> Tensor:
    """(B, C, H, W) to (B * H * W, C)."""
    return maps.movedim(1, -1).flatten(0, 2)


class ContextConsistency:
    """One student, its own teacher; as extras a projector and auxiliary heads."""

    def __init__(
        self,
        student: nn.Module,
        projector: nn.Module,
        heads: dict[str, list[nn.Module]],
        options: ContextOptions,
        *,
        steps: int,
    ) -> None:
        """Heads by the perturbation that they see."""
        self.students = (student,)
        self.teacher = student
        self.projector, self.heads = projector, heads
        self.extras = (projector, *(head for several in heads.values() for head in several))
        self.options = options
        self.steps = steps
        self.changes: dict[str, Callable[[Tensor], Tensor]] = {
            "channels_dropped": partial(drop_channels, share=options.dropout),
            "activity_dropped": partial(
                drop_active, least=options.least_active, most=options.most_active
            ),
            "noises": partial(noise, limit=options.noise_limit),
        }

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        options = self.options
        rising = rise(step, self.steps, after=options.labelled_share, during=options.ramp_share)
        labelled = batch.labelled_strong if options.strong_labelled else batch.labelled
        logits = self.teacher(labelled)
        supervised = segmentation_loss(options.loss, logits, batch.labels, batch.valid)
        if not rising:
            yield {"total": supervised, "supervised": supervised}
            return
        first, second = batch.unlabelled_strong
        side = crop_side(first.shape[-1], options.crop_share)
        crops = torch.cat([first[..., :side, :side], second[..., -side:, -side:]])
        features = merge(self.teacher, encode(self.teacher, crops))
        logits = classify(self.teacher, features)
        contrast = self.contrast(features, logits, apart=first.shape[-1] - side)
        auxiliary = self.auxiliary(features, logits.detach().softmax(1))
        unsure = entropy(logits)
        unsupervised = (
            options.contrast_weight * contrast
            + options.auxiliary_weight * auxiliary
            + options.entropy_weight * unsure
        )
        yield {
            "total": supervised + rising * unsupervised,
            "supervised": supervised,
            "contrast": contrast,
            "auxiliary": auxiliary,
            "entropy": unsure,
        }

    def after_update(self, step: int) -> None:
        """Nothing follows."""

    def auxiliary(self, features: Tensor, target: Tensor) -> Tensor:
        """Mean error of the auxiliary heads on perturbed features."""
        confidence = self.options.confidence
        errors = [
            confident_error(head(self.changes[name](features)), target, confidence=confidence)
            for name, several in self.heads.items()
            for head in several
        ]
        return torch.stack(errors).mean()

    def contrast(self, features: Tensor, logits: Tensor, *, apart: int) -> Tensor:
        """Both directions of the contrast; the second crop begins `apart` px after the first."""
        stride = logits.shape[-1] // features.shape[-1]
        coarser = max(1, 2 // stride)
        grain = stride * coarser
        projected = F.normalize(self.projector(F.avg_pool2d(features, coarser)), dim=1)
        probability = F.avg_pool2d(logits.detach().softmax(1), grain)
        bank, bank_labels = self.sampled(projected.detach(), probability)
        first, second = (
            Seen(rows(projections), *rows(chances).max(1))
            for projections, chances in zip(
                shared(projected, apart // grain), shared(probability, apart // grain), strict=True
            )
        )
        return self.follow(first, second, bank, bank_labels) + self.follow(
            second, first, bank, bank_labels
        )

    def sampled(self, projected: Tensor, probability: Tensor) -> tuple[Tensor, Tensor]:
        """Draw features and their labels from the whole of either crop: (N, C) and (N,)."""
        drawn = []
        pairs = zip(projected.chunk(2), probability.chunk(2), strict=True)
        for features, chances in ((rows(one), rows(other)) for one, other in pairs):
            place = torch.randint(len(features), (self.options.negatives,), device=features.device)
            drawn.append((features[place], chances[place].argmax(1)))
        features, labels = (torch.cat(each) for each in zip(*drawn, strict=True))
        return features, labels

    def follow(self, pupil: Seen, guide: Seen, bank: Tensor, bank_labels: Tensor) -> Tensor:
        """Mean contrast of the pixels of which the guide is sure, and surer than the pupil."""
        each = labelled_contrast(
            pupil.features,
            guide.features,
            pupil.labels,
            bank,
            bank_labels,
            temperature=self.options.temperature,
        )
        followed = (pupil.confidence < guide.confidence) & (
            guide.confidence > self.options.confidence
        )
        return (each * followed).sum() / followed.sum().clamp(min=1)


def shared(maps: Tensor, apart: int) -> tuple[Tensor, Tensor]:
    """Return what the first and the second half of a batch, crops `apart` places, both show."""
    first, second = maps.chunk(2)
    end = first.shape[-1] - apart
    return first[..., apart:, apart:], second[..., :end, :end]


def context_consistency(grow: Grow, options: ContextOptions, steps: int) -> ContextConsistency:
    student = grow(0)
    channels, stride = head_input(student)
    projector = nn.Sequential(
        nn.Conv2d(channels, options.hidden, 1),
        nn.ReLU(),
        nn.Conv2d(options.hidden, options.projected, 1),
    )

    def head() -> nn.Module:
        pixels = nn.Conv2d(channels, CLASSES * stride**2, 1)
        return placed_like(nn.Sequential(pixels, nn.PixelShuffle(stride)), student)

    heads = {
        name: [head() for _ in range(getattr(options, name))]
        for name in ("channels_dropped", "activity_dropped", "noises")
    }
    return ContextConsistency(student, placed_like(projector, student), heads, options, steps=steps)


def head_input(network: nn.Module, side: int = 64) -> tuple[int, int]:
    """Return channels and stride of what a network's head reads; the network stays as it is."""
    training, weight = network.training, next(network.parameters())
    images = torch.zeros(1, 3, side, side, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        features = merge(network.eval(), encode(network, images))
    network.train(training)
    return features.shape[1], side // features.shape[-1]
