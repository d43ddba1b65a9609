"""FAFuse: TransFuse with attention along four axes where its branches meet (eugmt.md §2.13).

The description leaves open which branch is treated how. Here as in TransFuse the transformer's map
looks afar (along rows, columns and both diagonals) and the CNN's looks near, at four widths.
"""

import torch
from torch import Tensor, nn

from models.architectures.axial import FourAxes
from models.architectures.config import NetworkConfig
from models.architectures.fusion import Bilinear, Residual, normalised
from models.architectures.transfuse import TransFuse

KERNELS = (3, 5, 7, 9)
HEADS = 4


class ManyKernels(nn.Module):
    """Convolutions of four widths side by side, a quarter of the channels each."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            normalised(inputs, outputs // len(KERNELS), kernel) for kernel in KERNELS
        )

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([part(features) for part in self.parts], 1).relu()


class FourAxisFusion(nn.Module):
    """Residual([Bilinear(g, t), FourAxes(t), ManyKernels(g)])."""

    def __init__(self, g: int, t: int, channels: int, reach: int) -> None:
        super().__init__()
        self.bilinear = Bilinear(g, t, channels)
        self.narrow = normalised(t, channels)
        self.of_t = FourAxes(channels, reach, HEADS)
        self.of_g = ManyKernels(g, channels)
        self.residual = Residual(3 * channels, channels)

    def forward(self, g: Tensor, t: Tensor) -> Tensor:
        """Fused features (B, channels, H, W)."""
        parts = [self.bilinear(g, t), self.of_t(self.narrow(t)), self.of_g(g)]
        fused: Tensor = self.residual(torch.cat(parts, 1))
        return fused


class FAFuse(TransFuse):
    """Logits (B, 2, H, W) of images (B, 3, H, W); H and W are multiples of 16, at most 256."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, FourAxisFusion)
