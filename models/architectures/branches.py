"""The two kinds of encoder that these networks combine, each a model of timm.

A convolutional one gives maps (B, C, H/s, W/s) at the strides s = 2, 4, 8, 16; a vision
transformer gives its tokens as a map (B, D, H/16, W/16).
"""

from typing import Any

import timm
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from models.architectures.config import EncoderUnknown, NetworkError
from models.architectures.weights import State, fill

SIDE = 256
"""Side of the images, px, that position tables are made for; other sides are resampled."""
STRIDES = (2, 4, 8, 16)
GRID = (SIDE // 16, SIDE // 16)


def unknown_encoder(name: str, wanted: str) -> EncoderUnknown:
    return EncoderUnknown("unknown_encoder", f"The encoder {name!r} is not {wanted}.")


def two_parts(name: str) -> list[str]:
    """Return the names of the convolutional part and the transformer: `cnn+vit`."""
    parts = name.split("+")
    if len(parts) != 2:
        raise unknown_encoder(name, "two of timm's models, as in 'resnet18+deit_tiny_patch16_224'")
    return parts


def check_size(images: Tensor, multiple: int, architecture: str) -> None:
    """Raise NetworkError `image_size` for images whose sides an architecture can't halve so."""
    height, width = images.shape[-2:]
    if height % multiple or width % multiple:
        raise NetworkError(
            "image_size",
            f"{architecture} takes images whose sides are multiples of {multiple} px, not "
            f"{height} x {width}; pad them or choose another crop.",
        )


class Convolutional(nn.Module):
    """A convolutional model of timm: its maps at these strides, from fine to coarse."""

    def __init__(self, name: str, strides: tuple[int, ...], state: State | None = None) -> None:
        super().__init__()
        kind = f"a convolutional model of timm with maps at the strides {strides}"
        if not timm.is_model(name):
            raise unknown_encoder(name, kind)
        levels = tuple(STRIDES.index(stride) for stride in strides)
        choices: dict[str, Any] = {"features_only": True, "out_indices": levels}
        try:
            model: Any = timm.create_model(name, pretrained=False, **choices)
        except (RuntimeError, AttributeError, AssertionError) as error:
            raise unknown_encoder(name, kind) from error
        if tuple(model.feature_info.reduction()) != strides:
            raise unknown_encoder(name, kind)
        self.model = model
        self.channels: list[int] = model.feature_info.channels()
        if state is not None:
            fill(self.model, state, name=name)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.model(images)
        return maps


class Projection(nn.Module):
    """Makes tokens of a map: what a hybrid has in the place of a patch embedding."""

    grid_size = GRID

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Tokens (B, h, w, D) of a map (B, C, h, w)."""
        tokens: Tensor = self.proj(features).permute(0, 2, 3, 1)
        return tokens


class Tokens(nn.Module):
    """A vision transformer's normalised tokens as a map; its positions fit any size of input."""

    def __init__(self, vit: VisionTransformer) -> None:
        super().__init__()
        self.model = vit
        self.width: int = vit.embed_dim

    def forward(self, pictures: Tensor) -> Tensor:
        """Tokens (B, D, H/16, W/16) of images, or (B, D, h, w) of a hybrid's map (B, C, h, w)."""
        stride = 1 if isinstance(self.model.patch_embed, Projection) else 16
        height, width = pictures.shape[-2:]
        tokens: Tensor = self.model.forward_features(pictures)[:, self.model.num_prefix_tokens :]
        shape = (len(tokens), self.width, height // stride, width // stride)
        return tokens.transpose(1, 2).reshape(shape)


def transformer(
    name: str, *, channels: int = 0, depth: int | None = None, state: State | None = None
) -> Tokens:
    """Make a vision transformer of timm with patches of 16 px, or a hybrid's.

    channels: of the map at stride 16 that it reads in the place of images (0: images); depth: how
    many of its blocks are kept. Raises NetworkError.
    """
    if not timm.models.is_model_in_modules(name, {"vision_transformer", "deit"}):
        raise unknown_encoder(name, "a vision transformer of timm")
    vit = timm.create_model(
        name, pretrained=False, img_size=SIDE, num_classes=0, dynamic_img_size=True
    )
    if not isinstance(vit, VisionTransformer) or vit.patch_embed.patch_size != (16, 16):
        raise unknown_encoder(name, "a vision transformer with patches of 16 px")
    vit.blocks = vit.blocks[:depth]
    if channels:
        vit.patch_embed = Projection(channels, vit.embed_dim)
    if state is not None:
        # a map's projection is not that of patches
        optional = ("patch_embed.",) if channels else ()
        positioned = with_positions(state, GRID, vit.num_prefix_tokens)
        fill(vit, positioned, name=name, optional=optional)
    return Tokens(vit)


def with_positions(state: State, grid: tuple[int, int], prefix_tokens: int) -> State:
    """Return a vision transformer's state, its positions (1, P+N, D) resampled to a grid."""
    if "pos_embed" not in state:
        return state
    table = resample_abs_pos_embed(
        state["pos_embed"], new_size=list(grid), num_prefix_tokens=prefix_tokens
    )
    return state | {"pos_embed": table}
