"""Duo-SegNet: two students on two halves of the labels, and a critic of pixels (eugmt.md §2.6).

Peiris, Chen, Egan, Harandi: Duo-SegNet: Adversarial Dual-Views for Semi-Supervised Medical Image
Segmentation, MICCAI 2021. The students minimise, the critic maximises:

    L = L_sup(1) + L_sup(2) + 0.4 L_diff + 0.2 L_adv

Here every term has its gradient. In the released code Dice and L_diff are constants, and the
adversarial loss reaches the students from unlabelled images alone: `as_released`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.semisup.extras import placed_like
from models.semisup.label_halves import (
    membrane_logit,
    mutual_cross_entropy,
    own_images,
    supervised_half,
)
from models.semisup.losses import cross_entropy, dice_loss
from models.semisup.method import Batch, Grow, Losses, Options
from models.semisup.schedules import rise


@dataclass(frozen=True)
class DuoSegNetOptions(Options):
    """The paper's weights. Its SGD and the critic's own RMSprop are the shared optimiser here."""

    loss: str = "dice+ce"
    """L_sup: half the (binary) cross entropy and half of 1 - Dice."""
    labelled_share: float = 0.0
    """Share of the training in which the students learn from labels alone."""
    ramp_share: float = 0.0
    """Share of the training over which the other losses rise; the paper knows no ramp."""
    agreement_weight: float = 0.4
    adversarial_weight: float = 0.2
    critic_stride: int = 2
    """The critic judges every n-th pixel of every n-th row, others in the next step, so that its
    losses are the paper's over a few steps: 1 is all of them at once, which makes the step four
    times as long on a CPU."""
    as_released: bool = False
    """Train what the released code trains: half the cross entropy, whatever `loss` says, and the
    adversarial loss of unlabelled images. The values reported stay those of the whole terms."""


class PixelCritic(nn.Sequential):
    """Says of each pixel (B, 1, H, W), 0 to 1, whether it is of a mask: 1x1 convolutions.

    Its batch norm keeps no running statistics: it is never used outside training, and the
    students' update then leaves nothing of it changed.
    """

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 64, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(64, 128, 1, bias=False),
            nn.BatchNorm2d(128, track_running_stats=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(128, 1, 1),
        )


@contextmanager
def held(module: nn.Module) -> Iterator[None]:
    """Let gradients through a module, not into it."""
    module.requires_grad_(requires_grad=False)
    try:
        yield
    finally:
        module.requires_grad_(requires_grad=True)


def judged(verdict: Tensor, *, real: bool, valid: Tensor | None = None) -> Tensor:
    """Return the critic's binary cross entropy, a mean over the valid pixels (B, H, W)."""
    target = torch.full_like(verdict, float(real))
    each = F.binary_cross_entropy_with_logits(verdict, target, reduction="none").squeeze(1)
    if valid is None:
        return each.mean()
    return (each * valid).sum() / valid.sum().clamp(min=1)


class DuoSegNet:
    """Two students and, as an extra, their critic; the model is student 1."""

    def __init__(
        self,
        students: tuple[nn.Module, nn.Module],
        critic: nn.Module,
        options: DuoSegNetOptions,
        *,
        steps: int,
    ) -> None:
        self.students = students
        self.teacher = students[0]
        self.critic = critic
        self.extras: tuple[nn.Module, ...] = (critic,)
        self.options = options
        self.steps = steps

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        options = self.options
        rising = rise(step, self.steps, after=options.labelled_share, during=options.ramp_share)
        labelled = batch.labelled_strong if options.strong_labelled else batch.labelled
        on_labelled = [student(labelled) for student in self.students]
        supervised = self.supervised(on_labelled, batch)
        if not rising:
            yield {"total": supervised, "supervised": supervised}
            return
        on_unlabelled = [student(batch.unlabelled) for student in self.students]
        agreement = mutual_cross_entropy(*on_unlabelled)
        if options.as_released:
            agreement = agreement.detach()
        with held(self.critic):
            adversarial = self.adversarial(on_labelled, on_unlabelled, step)
        yield {
            "total": supervised
            + rising * options.agreement_weight * agreement
            + rising * options.adversarial_weight * adversarial,
            "supervised": supervised,
            "agreement": agreement,
            "adversarial": adversarial,
        }
        critic = self.told_apart(batch, [*on_labelled, *on_unlabelled], step)
        yield {"total": critic, "critic": critic}

    def after_update(self, step: int) -> None:
        """Nothing follows."""

    def supervised(self, logits: list[Tensor], batch: Batch) -> Tensor:
        """Each student's loss on its half of the labels, both added."""
        chosen = self.released_half if self.options.as_released else self.half
        first, second = (chosen(each, batch, half) for half, each in enumerate(logits))
        return first + second

    def half(self, logits: Tensor, batch: Batch, half: int) -> Tensor:
        return supervised_half(self.options.loss, logits, batch, half)

    def released_half(self, logits: Tensor, batch: Batch, half: int) -> Tensor:
        """Half the cross entropy, which trains, and half the Dice loss, which is only added."""
        valid = batch.valid & own_images(batch, half).view(-1, 1, 1)
        dice = dice_loss(logits.detach(), batch.labels, valid, whole_batch=True)
        return 0.5 * cross_entropy(logits, batch.labels, valid) + 0.5 * dice

    def adversarial(
        self, on_labelled: list[Tensor], on_unlabelled: list[Tensor], step: int
    ) -> Tensor:
        """The students' predictions shall pass for masks: a mean over the two kinds of images,
        the students added.
        """
        if self.options.as_released:
            on_labelled = [logits.detach() for logits in on_labelled]
        predictions = [*on_labelled, *on_unlabelled]
        return 0.5 * sum_of(judged(self.verdict(each, step), real=True) for each in predictions)

    def told_apart(self, batch: Batch, logits: list[Tensor], step: int) -> Tensor:
        """The critic's loss: masks are real, the four predictions, constants here, are not."""
        masks = batch.labels.unsqueeze(1).to(logits[0].dtype)
        real = judged(
            self.critic(self.looked_at(masks, step)),
            real=True,
            valid=self.looked_at(batch.valid, step),
        )
        false = sum_of(judged(self.verdict(each.detach(), step), real=False) for each in logits)
        return 0.5 * (real + false / len(logits))

    def verdict(self, logits: Tensor, step: int) -> Tensor:
        verdict: Tensor = self.critic(self.looked_at(membrane_logit(logits), step).sigmoid())
        return verdict

    def looked_at(self, maps: Tensor, step: int) -> Tensor:
        """Return the pixels of (..., H, W) that the critic judges in a step."""
        stride = self.options.critic_stride
        return maps[..., step // stride % stride :: stride, step % stride :: stride]


def sum_of(losses: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(losses)).sum()


def duo_segnet(grow: Grow, options: DuoSegNetOptions, steps: int) -> DuoSegNet:
    students = (grow(1), grow(2))
    return DuoSegNet(students, placed_like(PixelCritic(), students[0]), options, steps=steps)
