"""The network that trains in minutes on two CPU cores."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.architectures.config import CLASSES


class Block(nn.Sequential):
    """Two 3x3 convolutions, batch-normalised: even one crop has thousands of pixels a channel.

    Group norm learned slower and cost more (phantom, 10 patches, 200 supervised steps, two seeds:
    Dice 0.63 and 0.68 against 0.72 and 0.71).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class SmallUNet(nn.Module):
    """A U-Net that trains in minutes on two CPU cores: 0.3 M parameters, 0.9 GFLOP at 256².

    It works at half the resolution (2x2 pixels become channels, and logits become pixels again),
    where a membrane is still two or three pixels wide, and adds its skips instead of stacking
    them: five times cheaper than the plain shape.
    """

    WIDTHS = (16, 32, 64, 96)
    PRIOR = 0.08
    """Share of membrane that the untrained network proposes: it need not learn that first."""

    def __init__(self) -> None:
        super().__init__()
        levels = pairwise((3 * 4, *self.WIDTHS))
        self.down = nn.ModuleList(Block(inputs, outputs) for inputs, outputs in levels)
        steps = list(pairwise(self.WIDTHS[::-1]))
        self.narrow = nn.ModuleList(nn.Conv2d(below, here, 1) for below, here in steps)
        self.up = nn.ModuleList(Block(here, here) for _, here in steps)
        self.head = nn.Conv2d(self.WIDTHS[0], CLASSES * 4, 1)
        odds = 0.5 * math.log(self.PRIOR / (1 - self.PRIOR))
        with torch.no_grad():
            assert self.head.bias is not None
            self.head.bias.copy_(torch.tensor([-odds] * 4 + [odds] * 4))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 2, H, W) of images (B, 3, H, W); H and W are multiples of 16."""
        return self.decode(self.encode(images))

    def encode(self, images: Tensor) -> list[Tensor]:
        """Features from fine to coarse: strides 2, 4, 8, 16."""
        levels: list[Tensor] = []
        features = nn.functional.pixel_unshuffle(images, 2)
        for level, block in enumerate(self.down):
            features = block(nn.functional.max_pool2d(features, 2) if level else features)
            levels.append(features)
        return levels

    def decode(self, levels: list[Tensor]) -> Tensor:
        """Logits (B, 2, H, W) of `encode`'s features."""
        return self.classify(self.merge(levels))

    def merge(self, levels: list[Tensor]) -> Tensor:
        """Decoded features (B, 16, H/2, W/2) of `encode`'s features."""
        features = levels[-1]
        for narrow, block, skip in zip(self.narrow, self.up, levels[-2::-1], strict=True):
            below = nn.functional.interpolate(narrow(features), scale_factor=2.0)
            features = block(below + skip)
        return features

    def classify(self, merged: Tensor) -> Tensor:
        """Logits (B, 2, H, W) of `merge`'s features."""
        return nn.functional.pixel_shuffle(self.head(merged), 2)
