"""What TransFuse and FAFuse fuse two branches with, and merge what is fused.

g: the convolutional branch's map (B, C, H, W); t: the transformer's of the same size.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.architectures.small_unet import Block

REDUCTION = 4


def normalised(inputs: int, outputs: int, kernel: int = 1) -> nn.Sequential:
    """A convolution with batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class ChannelGate(nn.Module):
    """Weigh each channel by what the whole map holds of it (squeeze and excitation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // REDUCTION)
        self.gate = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.ReLU(inplace=True), nn.Conv2d(inner, channels, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        weights: Tensor = self.gate(features.mean((2, 3), keepdim=True)).sigmoid()
        return features * weights


class SpatialGate(nn.Module):
    """Weigh each place by its largest and its mean channel, seen 7x7 wide."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = normalised(2, 1, 7)

    def forward(self, features: Tensor) -> Tensor:
        pooled = torch.cat([features.amax(1, keepdim=True), features.mean(1, keepdim=True)], 1)
        weights: Tensor = self.gate(pooled).sigmoid()
        return features * weights


class Bilinear(nn.Module):
    """Conv(W1 t * W2 g): the products of two branches' channels, place by place."""

    def __init__(self, g: int, t: int, channels: int) -> None:
        super().__init__()
        self.of_g = normalised(g, channels)
        self.of_t = normalised(t, channels)
        self.mix = nn.Sequential(*normalised(channels, channels, 3), nn.ReLU(inplace=True))

    def forward(self, g: Tensor, t: Tensor) -> Tensor:
        mixed: Tensor = self.mix(self.of_g(g) * self.of_t(t))
        return mixed


class Residual(nn.Module):
    """A bottleneck of 1x1, 3x3 and 1x1 convolutions beside a 1x1 shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = max(1, outputs // 2)
        self.through = nn.Sequential(
            *normalised(inputs, inner),
            nn.ReLU(inplace=True),
            *normalised(inner, inner, 3),
            nn.ReLU(inplace=True),
            *normalised(inner, outputs),
        )
        self.past = normalised(inputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.through(features) + self.past(features))


class BiFusion(nn.Module):
    """TransFuse: Residual([Bilinear(g, t), ChannelGate(t), SpatialGate(g)]).

    A transformer's channels hold what it gathered from afar, a convolution's places hold detail:
    each is gated by what the other lacks.
    """

    def __init__(self, g: int, t: int, channels: int, reach: int) -> None:
        super().__init__()
        self.bilinear = Bilinear(g, t, channels)
        self.of_t = ChannelGate(t)
        self.of_g = SpatialGate()
        self.residual = Residual(channels + t + g, channels)

    def forward(self, g: Tensor, t: Tensor) -> Tensor:
        """Fused features (B, channels, H, W)."""
        fused: Tensor = self.residual(
            torch.cat([self.bilinear(g, t), self.of_t(t), self.of_g(g)], 1)
        )
        return fused


def doubled(features: Tensor) -> Tensor:
    """Twice the size, between pixels linearly."""
    return F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


class Attended(nn.Module):
    """Double the coarse features, and take in of a skip what they ask for.

    The gate is one number a place: sigmoid(psi(relu(Wx skip + Wg coarse))), as in Attention U-Net.
    """

    def __init__(self, below: int, skip: int, here: int) -> None:
        super().__init__()
        inner = max(1, here // 2)
        self.of_below, self.of_skip = normalised(below, inner), normalised(skip, inner)
        self.psi = normalised(inner, 1)
        self.block = Block(below + skip, here)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        wide = doubled(below)
        gate = self.psi(F.relu(self.of_below(wide) + self.of_skip(skip))).sigmoid()
        merged: Tensor = self.block(torch.cat([wide, gate * skip], 1))
        return merged
