"""Swin-Unet: a U-Net of shifted-window transformer blocks alone (eugmt.md §2.11).

Two blocks a stage down and up; a map is halved by merging 2x2 tokens and doubled by expanding one
into 2x2, at the end into 4x4. A small crop and a whole patch share the tables of relative
positions: an offset that no crop was wide enough to show keeps its first value, near 0.
"""

import re
from dataclasses import dataclass

import torch
from timm.layers.patch_embed import PatchEmbed
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table
from timm.models.swin_transformer import PatchMerging
from torch import Tensor, nn

from models.architectures.branches import check_size, unknown_encoder
from models.architectures.config import CLASSES, NetworkConfig
from models.architectures.weights import State, fill, states
from models.architectures.windows import WindowBlock, drawn, images_of, tokens_of

DEPTH = 2
"""Blocks a stage, down and up; of a file's stage with more, the first two are taken."""
DROP_PATH = 0.1
PATCH_PX = 4


@dataclass(frozen=True)
class Size:
    """Width of the first stage's tokens, which doubles with each; heads of each; window side."""

    width: int
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 8

    @property
    def widths(self) -> list[int]:
        return [self.width << level for level in range(len(self.heads))]


SIZES = {
    "swin_micro_window4": Size(48, window=4),
    "swin_tiny_patch4_window7_224": Size(96),
    "swin_base_patch4_window7_224": Size(128, (4, 8, 16, 32)),
}
"""By the model of timm whose weights fit; the first is ours, for a CPU. Windows of 8 fill the maps
of a 256 px image, so a file's tables of 7 are resampled."""


class Stage(nn.Module):
    """Perhaps a merging of tokens, then plain and shifted windows in turn."""

    def __init__(self, size: Size, level: int, *, merging: bool) -> None:
        super().__init__()
        widths = size.widths
        self.downsample = PatchMerging(widths[level - 1]) if merging else nn.Identity()
        self.blocks = nn.Sequential(
            *(
                WindowBlock(
                    widths[level],
                    size.heads[level],
                    size.window,
                    shifted=number % 2 == 1,
                    # the deeper a block, the likelier it is left out
                    drop_path=DROP_PATH * (level * DEPTH + number) / (len(widths) * DEPTH - 1),
                )
                for number in range(DEPTH)
            )
        )

    def forward(self, tokens: Tensor) -> Tensor:
        changed: Tensor = self.blocks(self.downsample(tokens))
        return changed


class Encoder(nn.Module):
    """Maps at 1/4, 1/8, 1/16 and 1/32 of images (B, 3, H, W); names are those of timm's Swin."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(
            None,
            PATCH_PX,
            embed_dim=size.width,
            norm_layer=nn.LayerNorm,
            flatten=False,
            output_fmt="NHWC",
            strict_img_size=False,
        )
        levels = range(len(size.heads))
        self.layers = nn.ModuleList(Stage(size, level, merging=level > 0) for level in levels)
        self.norm = nn.LayerNorm(size.widths[-1])
        drawn(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        check_size(images, 32, "Swin-Unet")
        maps = []
        tokens = self.patch_embed(images)
        for layer in self.layers:
            tokens = layer(tokens)
            maps.append(tokens)
        maps[-1] = self.norm(maps[-1])
        return [images_of(each) for each in maps]


class Expand(nn.Module):
    """Make factor x factor tokens of one, by a linear layer."""

    def __init__(self, width: int, factor: int, here: int) -> None:
        super().__init__()
        self.factor = factor
        self.linear = nn.Linear(width, factor * factor * here, bias=False)
        self.norm = nn.LayerNorm(here)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, fH, fW, C') of (B, H, W, C)."""
        factor = self.factor
        split = self.linear(tokens).unflatten(3, (factor, factor, -1))
        wide: Tensor = self.norm(split.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2))
        return wide


class Level(nn.Module):
    """Double the size, take the skip in by a linear layer, and a stage of blocks."""

    def __init__(self, size: Size, level: int) -> None:
        super().__init__()
        below, here = size.widths[level + 1], size.widths[level]
        self.expand = Expand(below, 2, here)
        self.merge = nn.Linear(2 * here, here)
        self.stage = Stage(size, level, merging=False)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        merged: Tensor = self.stage(self.merge(torch.cat([self.expand(below), skip], 3)))
        return merged


class Decoder(nn.Module):
    """From the encoder's maps to features (B, C, H, W)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            Level(size, level) for level in reversed(range(len(size.heads) - 1))
        )
        self.norm = nn.LayerNorm(size.width)
        self.expand = Expand(size.width, PATCH_PX, size.width)
        drawn(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        *skips, tokens = (tokens_of(each) for each in features)
        for level, skip in zip(self.levels, skips[::-1], strict=True):
            tokens = level(tokens, skip)
        return images_of(self.expand(self.norm(tokens)))


class SwinUnet(nn.Module):
    """Logits (B, 2, H, W) of images (B, 3, H, W); H and W are multiples of 32.

    With weights from a file, each stage of the decoder begins as the encoder's of its size.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        name = config.encoder
        if name not in SIZES:
            raise unknown_encoder(name, f"one of {', '.join(SIZES)}")
        size = SIZES[name]
        self.encoder, self.decoder = Encoder(size), Decoder(size)
        self.segmentation_head = nn.Conv2d(size.width, CLASSES, 1, bias=False)
        if pretrained := states(config.encoder_weights, [name]):
            fill(self.encoder, fitted(pretrained[0], size.window), name=name)
            self.mirror()

    def mirror(self) -> None:
        """Begin the decoder's blocks as the encoder's of the same map size."""
        for level, own in zip(self.decoder.levels, self.encoder.layers[-2::-1], strict=True):
            level.get_submodule("stage.blocks").load_state_dict(
                own.get_submodule("blocks").state_dict()
            )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.segmentation_head(self.decoder(self.encoder(images)))
        return logits


def fitted(state: State, window: int) -> State:
    """Return a Swin's state for windows of another side, mergings at the start of their stage."""
    fit = {}
    # the authors' file has a merging at the end of the stage before
    late = "layers.0.downsample.norm.weight" in state
    for key, value in state.items():
        if late and (merging := re.match(r"layers\.(\d+)\.downsample\.(.*)", key)):
            fit[f"layers.{int(merging[1]) + 1}.downsample.{merging[2]}"] = value
        elif key.endswith("relative_position_bias_table"):
            shape = ((2 * window - 1) ** 2, value.shape[1])
            fit[key] = resize_rel_pos_bias_table(value, (window, window), shape)
        else:
            fit[key] = value
    return fit
