"""TransUNet: a ResNet, a transformer over its coarsest map, a U-Net's way back (eugmt.md §2.10).

The skips are the ResNet's maps at 1/2, 1/4 and 1/8. The tokens are narrowed by a 3x3 convolution
and doubled in size four times.
"""

from itertools import pairwise
from typing import Any

import timm
import torch
from timm.models.resnetv2 import ResNetV2
from torch import Tensor, nn
from torch.nn import functional as F

from models.architectures.branches import (
    GRID,
    SIDE,
    STRIDES,
    Convolutional,
    Projection,
    Tokens,
    check_size,
    transformer,
    two_parts,
    unknown_encoder,
    with_positions,
)
from models.architectures.config import CLASSES, NetworkConfig
from models.architectures.small_unet import Block
from models.architectures.weights import fill, states

LAST = 16
"""Channels at full resolution."""
HYBRID = "a hybrid of timm with a ResNet of stride 16, as vit_base_r50_s16_384"


class Backbone(nn.Module):
    """The ResNet of one of timm's hybrids: its maps at the strides 2, 4, 8, 16."""

    def __init__(self, resnet: ResNetV2) -> None:
        super().__init__()
        self.stem, self.stages = resnet.stem, resnet.stages
        levels: Any = resnet.feature_info
        self.channels: list[int] = [level["num_chs"] for level in levels]

    def forward(self, images: Tensor) -> list[Tensor]:
        pool = self.stem[-1]
        maps = [self.stem[:-1](images)]
        for number, stage in enumerate(self.stages):
            maps.append(stage(maps[-1] if number else pool(maps[-1])))
        return maps


class Hybrid(nn.Module):
    """The encoder: skips at 1/2, 1/4, 1/8, then the transformer's tokens (B, D, H/16, W/16).

    Its name is one of timm's hybrids (`vit_base_r50_s16_384`), whose weights lie in one file, or
    `cnn+vit`: any two models of timm, joined by a new 1x1 projection.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.cnn: nn.Module
        if "+" in config.encoder:
            self.join(two_parts(config.encoder), config.encoder_weights)
        else:
            self.take_apart(config.encoder, config.encoder_weights)
        self.channels: list[int] = [*self.cnn.channels[:-1], self.vit.width]

    def join(self, names: list[str], weights: str) -> None:
        of_cnn, of_vit = states(weights, names) or (None, None)
        resnet = Convolutional(names[0], STRIDES, of_cnn)
        self.cnn = resnet
        self.vit = transformer(names[1], channels=resnet.channels[-1], state=of_vit)

    def take_apart(self, name: str, weights: str) -> None:
        if not timm.models.is_model_in_modules(name, {"vision_transformer_hybrid"}):
            raise unknown_encoder(name, HYBRID)
        whole: Any = timm.create_model(
            name, pretrained=False, img_size=SIDE, num_classes=0, dynamic_img_size=True
        )
        resnet, projection = whole.patch_embed.backbone, whole.patch_embed.proj
        if not isinstance(resnet, ResNetV2) or whole.patch_embed.grid_size != GRID:
            raise unknown_encoder(name, HYBRID)
        if pretrained := states(weights, [name]):
            fill(whole, with_positions(pretrained[0], GRID, whole.num_prefix_tokens), name=name)
        whole.patch_embed = Projection(projection.in_channels, whole.embed_dim)
        whole.patch_embed.proj = projection
        self.cnn, self.vit = Backbone(resnet), Tokens(whole)

    def forward(self, images: Tensor) -> list[Tensor]:
        check_size(images, 16, "TransUNet")
        *skips, coarsest = self.cnn(images)
        return [*skips, self.vit(coarsest)]


class Up(nn.Module):
    """Double the size, append the skip, and two 3x3 convolutions."""

    def __init__(self, below: int, skip: int, here: int) -> None:
        super().__init__()
        self.block = Block(below + skip, here)

    def forward(self, below: Tensor, skip: Tensor | None) -> Tensor:
        wide = F.interpolate(below, scale_factor=2.0, mode="bilinear", align_corners=False)
        merged: Tensor = self.block(wide if skip is None else torch.cat([wide, skip], 1))
        return merged


class Decoder(nn.Module):
    """From the encoder's maps to features (B, 16, H, W).

    The widths follow the transformer's: of 768 they are the authors' 512, then 256, 128, 64, 16.
    """

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        *skips, tokens = channels
        first = tokens * 2 // 3
        widths = [first, *(max(LAST, first // part) for part in (2, 4, 8)), LAST]
        self.narrow = nn.Sequential(
            nn.Conv2d(tokens, first, 3, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
        )
        beside = [*skips[::-1], 0]
        self.up = nn.ModuleList(
            Up(below, skip, here)
            for (below, here), skip in zip(pairwise(widths), beside, strict=True)
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        *skips, tokens = features
        merged: Tensor = self.narrow(tokens)
        for up, skip in zip(self.up, [*skips[::-1], None], strict=True):
            merged = up(merged, skip)
        return merged


class TransUNet(nn.Module):
    """Logits (B, 2, H, W) of images (B, 3, H, W); H and W are multiples of 16."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.encoder = Hybrid(config)
        self.decoder = Decoder(self.encoder.channels)
        self.segmentation_head = nn.Conv2d(LAST, CLASSES, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.segmentation_head(self.decoder(self.encoder(images)))
        return logits
