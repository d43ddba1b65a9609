"""Encoders that were taught in other units than images come in here."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.augment import MEAN, STD


class Rescaled(nn.Module):
    """An encoder that was taught in other units than `augment.normalise` makes: turned into its.

    Not folded into its first convolution: what is padded there would no longer be 0.
    """

    def __init__(self, inner: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.inner = inner
        self.output_stride = inner.output_stride
        pairs = zip(MEAN, STD, mean, std, strict=True)
        changes = [(ours / theirs, (m - t) / theirs) for m, ours, t, theirs in pairs]
        scale, shift = torch.tensor(changes).T.reshape(2, 3, 1, 1)
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", scale.contiguous(), persistent=False)
        self.register_buffer("shift", shift.contiguous(), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.inner(images * self.scale + self.shift)
        return features


def in_its_units(encoder: nn.Module, name: str) -> nn.Module:
    """Return an encoder that takes images in ImageNet's units, as all here do."""
    import timm

    known = timm.get_pretrained_cfg(name.removeprefix("tu-")) if name.startswith("tu-") else None
    if known is None or (tuple(known.mean), tuple(known.std)) == (MEAN, STD):
        return encoder
    return Rescaled(encoder, known.mean, known.std)
