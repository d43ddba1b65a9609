"""TransFuse: a CNN and a transformer side by side, fused at three scales (eugmt.md §2.12).

f0, f1, f2 are the fused features at 1/16, 1/8 and 1/4; gated skips lead from f0 to the joint
features at 1/4. Three heads are trained: of the joint features, of the transformer's own way up,
and of the coarse f0. The first one predicts.
"""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from models.acceleration import ExactConv2d
from models.architectures.branches import Convolutional, check_size, transformer, two_parts
from models.architectures.config import CLASSES, NetworkConfig
from models.architectures.fusion import Attended, BiFusion, doubled
from models.architectures.small_unet import Block
from models.architectures.weights import states

BLOCKS = 8
"""The transformer's blocks that are kept."""
WIDTHS = (256, 128, 64)
"""Fused channels at 1/16, 1/8, 1/4, or the CNN's own where it is narrower (ResNet-34's)."""
STRIDES = (4, 8, 16)

Fusion = Callable[[int, int, int, int], nn.Module]
"""Makes a fusion(g, t) of two maps of (channels of g, of t, of the result, side at 256 px)."""


class TwoBranches(nn.Module):
    """The encoder: the CNN's maps at 1/4, 1/8, 1/16, then the transformer's at 1/16."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        names = two_parts(config.encoder)
        of_cnn, of_vit = states(config.encoder_weights, names) or (None, None)
        self.cnn = Convolutional(names[0], STRIDES, of_cnn)
        self.vit = transformer(names[1], depth=BLOCKS, state=of_vit)
        self.channels = [*self.cnn.channels, self.vit.width]

    def forward(self, images: Tensor) -> list[Tensor]:
        check_size(images, STRIDES[-1], "A network of two branches")
        return [*self.cnn(images), self.vit(images)]


class FusingDecoder(nn.Module):
    """Fuse the branches at each scale and merge what is fused."""

    def __init__(self, channels: list[int], fusion: Fusion, sides: tuple[int, ...]) -> None:
        super().__init__()
        *cnn, tokens = channels
        cnn = cnn[::-1]
        self.widths = [min(own, width) for own, width in zip(cnn, WIDTHS, strict=True)]
        of_tokens = [tokens, *self.widths[1:]]
        self.up = nn.ModuleList(Block(below, here) for below, here in pairwise(of_tokens))
        self.fuse = nn.ModuleList(
            fusion(*each) for each in zip(cnn, of_tokens, self.widths, sides, strict=True)
        )
        self.merge = nn.ModuleList(
            Attended(below, here, here) for below, here in pairwise(self.widths)
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Joint features (B, C, H/4, W/4)."""
        return self.all(features)[0]

    def all(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the joint features and the transformer's, both at 1/4, and f0 at 1/16."""
        *cnn, tokens = features
        ways = [tokens]
        for up in self.up:
            ways.append(up(doubled(ways[-1])))
        fused = [fuse(g, t) for fuse, g, t in zip(self.fuse, cnn[::-1], ways, strict=True)]
        joint = fused[0]
        for merge, skip in zip(self.merge, fused[1:], strict=True):
            joint = merge(joint, skip)
        return joint, ways[-1], fused[0]


class Head(nn.Module):
    """Logits (B, 2, H, W) of features at a stride, enlarged between pixels linearly."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.mix = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        # each head has its loss, and losses are of exact logits
        self.classify = ExactConv2d(channels, CLASSES, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        logits = self.classify(self.mix(features))
        scale = float(self.stride)
        return F.interpolate(logits, scale_factor=scale, mode="bilinear", align_corners=False)


class TransFuse(nn.Module):
    """Logits (B, 2, H, W) of images (B, 3, H, W); H and W are multiples of 16.

    `heads` gives those of all three heads, for a loss on each.
    """

    def __init__(self, config: NetworkConfig, fusion: Fusion = BiFusion, side: int = 256) -> None:
        super().__init__()
        self.encoder = TwoBranches(config)
        sides = tuple(side // stride for stride in STRIDES[::-1])
        self.decoder = FusingDecoder(self.encoder.channels, fusion, sides)
        coarse, *_, fine = self.decoder.widths
        self.coarse_head = Head(coarse, STRIDES[-1])
        self.transformer_head = Head(fine, STRIDES[0])
        self.segmentation_head = Head(fine, STRIDES[0])

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.segmentation_head(self.decoder(self.encoder(images)))
        return logits

    def heads(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return logits (B, 2, H, W) of the joint features, of the transformer, of f0."""
        joint, own, coarse = self.decoder.all(self.encoder(images))
        return self.segmentation_head(joint), self.transformer_head(own), self.coarse_head(coarse)
