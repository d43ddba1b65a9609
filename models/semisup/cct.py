"""CCT, Cross-Consistency Training, compact: one encoder, many ways to read it (eugmt.md §2.8).

Ouali, Hudelot, Tami: Semi-Supervised Semantic Segmentation with Cross-Consistency Training,
CVPR 2020. The network learns from labels; on unlabelled images auxiliary decoders, each of which
sees the encoder's features perturbed in its own way, shall predict what the main decoder does:

    L = L_sup + w(t) / K * sum_k MSE(softmax(g_k(perturbed_k(z))), softmax(g(z)), a constant)

The variant: the paper's seven perturbations in the paper's proportions, but half as many decoders
(15 of 30), on the shared networks instead of a dilated ResNet-50 with PSP. Those
have skips, so what is perturbed are the features of every stride (noise, dropped activity,
channels and adversarial steps drawn for each, boxes and masks the same for all), and an auxiliary
decoder is a 1x1 convolution for every stride, their sum, and one pixel shuffle to the image's
size. It is not SSL4MIS's `UNet_CCT` (three whole decoders, which also learn from labels).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.networks import CLASSES, decode, encode
from models.semisup.extras import placed_like
from models.semisup.losses import segmentation_loss
from models.semisup.method import Batch, Grow, Losses, Options
from models.semisup.perturb import adversarial, box_on, drop_active, drop_channels, keep, noise
from models.semisup.schedules import rise


@dataclass(frozen=True)
class CrossConsistencyOptions(Options):
    """The paper's values, but for the numbers of decoders (see the module) and `loss`."""

    loss: str = "dice+ce"
    """The paper's is cross entropy alone; with the Dice loss beside it, as the other methods."""
    labelled_share: float = 0.0
    """Share of the training in which the network learns from labels alone."""
    ramp_share: float = 0.1
    """Share of the training over which the unsupervised loss rises."""
    unsupervised_weight: float = 30.0
    channels_dropped: int = 3
    cut_outs: int = 3
    adversaries: int = 1
    contexts: int = 1
    objects: int = 1
    activity_dropped: int = 3
    noises: int = 3
    """How many auxiliary decoders see each perturbation (paper: 6, 6, 2, 2, 2, 6, 6)."""
    dropout: float = 0.5
    cut_side: float = 0.4
    radius: float = 2.0
    """Length of the adversarial step of an image, at every stride."""
    probe: float = 0.1
    """Length of the step that finds its direction: a shorter one drowns in single precision."""
    least_active: float = 0.6
    most_active: float = 0.9
    noise_limit: float = 0.3
    width: int = 16
    """Channels of an auxiliary decoder."""


def strides(network: nn.Module, side: int = 64) -> list[tuple[int, int]]:
    """Return (channels, stride) of each of `encode`'s features; the network stays as it is."""
    training, weight = network.training, next(network.parameters())
    images = torch.zeros(1, 3, side, side, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        features = encode(network.eval(), images)
    network.train(training)
    return [(level.shape[1], side // level.shape[2]) for level in features]


class AuxiliaryDecoder(nn.Module):
    """Logits from features of several strides, from fine to coarse: (channels, stride) each."""

    def __init__(self, levels: list[tuple[int, int]], width: int) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels, _ in levels)
        self.finest = levels[0][1]
        self.head = nn.Conv2d(width, CLASSES * self.finest**2, 1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        size = levels[0].shape[-2:]
        narrowed = (narrow(level) for narrow, level in zip(self.narrow, levels, strict=True))
        total = torch.stack([F.interpolate(level, size) for level in narrowed]).sum(0)
        return F.pixel_shuffle(self.head(F.relu(total)), self.finest)


class CrossConsistency:
    """One student, its own teacher, and auxiliary decoders as extras."""

    def __init__(
        self,
        student: nn.Module,
        decoders: dict[str, list[nn.Module]],
        read: list[int],
        options: CrossConsistencyOptions,
        *,
        steps: int,
    ) -> None:
        """Decoders by the perturbation that they see; `read`: which of `encode`'s features."""
        self.students = (student,)
        self.teacher = student
        self.decoders = decoders
        self.extras = tuple(each for several in decoders.values() for each in several)
        self.read = read
        self.options = options
        self.steps = steps

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        options = self.options
        rising = rise(step, self.steps, after=options.labelled_share, during=options.ramp_share)
        labelled = batch.labelled_strong if options.strong_labelled else batch.labelled
        logits = self.teacher(labelled)
        supervised = segmentation_loss(options.loss, logits, batch.labels, batch.valid)
        if not rising:
            yield {"total": supervised, "supervised": supervised}
            return
        consistency = self.consistency(batch.unlabelled)
        yield {
            "total": supervised + rising * options.unsupervised_weight * consistency,
            "supervised": supervised,
            "consistency": consistency,
        }

    def after_update(self, step: int) -> None:
        """Nothing follows."""

    def consistency(self, images: Tensor) -> Tensor:
        """Mean over the auxiliary decoders of their squared error against the main decoder."""
        features = encode(self.teacher, images)
        with torch.no_grad():
            main = decode(self.teacher, features)
            target, membrane = main.softmax(1), main.argmax(1).bool()
        levels = [features[place] for place in self.read]
        errors = [
            F.mse_loss(decoder(self.perturbed(name, levels, membrane, decoder)).softmax(1), target)
            for name, several in self.decoders.items()
            for decoder in several
        ]
        return torch.stack(errors).mean()

    def perturbed(
        self, name: str, levels: list[Tensor], membrane: Tensor, decoder: nn.Module
    ) -> list[Tensor]:
        """Return the features as a decoder of this perturbation sees them."""
        options = self.options
        match name:
            case "channels_dropped":
                return [drop_channels(level, share=options.dropout) for level in levels]
            case "cut_outs":
                return masked(levels, box_on(membrane, side=options.cut_side))
            case "adversaries":
                return adversarial(levels, decoder, radius=options.radius, probe=options.probe)
            case "contexts" | "objects":
                retained = membrane if name == "contexts" else ~membrane
                return masked(levels, retained.unsqueeze(1))
            case "activity_dropped":
                low, high = options.least_active, options.most_active
                return [drop_active(level, least=low, most=high) for level in levels]
            case "noises":
                return [noise(level, limit=options.noise_limit) for level in levels]
        raise KeyError(name)


def masked(levels: list[Tensor], retained: Tensor) -> list[Tensor]:
    return [keep(level, retained) for level in levels]


PERTURBATIONS = (
    "channels_dropped",
    "cut_outs",
    "adversaries",
    "contexts",
    "objects",
    "activity_dropped",
    "noises",
)
"""The fields of the options that say how many decoders see each."""


def cross_consistency(grow: Grow, options: CrossConsistencyOptions, steps: int) -> CrossConsistency:
    student = grow(0)
    levels = strides(student)
    # some encoders hand out the image itself and an empty level
    read = [place for place, (channels, stride) in enumerate(levels) if channels and stride > 1]
    decoders = {
        name: [
            placed_like(AuxiliaryDecoder([levels[place] for place in read], options.width), student)
            for _ in range(getattr(options, name))
        ]
        for name in PERTURBATIONS
    }
    return CrossConsistency(student, decoders, read, options, steps=steps)
