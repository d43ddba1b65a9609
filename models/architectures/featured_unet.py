"""The small U-Net that is shown, at each of its levels, what a frozen ImageNet encoder sees there.

So a network of a CPU's size need not learn from two labelled patches what an edge of a nucleus is.
The encoder's first stages cost less than the U-Net itself, have no gradients and never change.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.architectures.config import SCRATCH
from models.architectures.rescaled import in_its_units
from models.architectures.small_unet import Block, SmallUNet
from models.architectures.weights import encoder_state, fill_encoder

ENCODER = "tu-tf_efficientnet_lite0"
CHANNELS = (16, 24, 40, 112)
"""Of the encoder's stages at strides of 2, 4, 8 and 16."""
STAGES = 5
"""Of the encoder's seven: the third and the fourth step are at the strides of others."""
BATCH_NORMS = (("conv_dw", "bn1"), ("conv_pw", "bn2"))
OF_INVERTED = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))


class FeaturedUNet(SmallUNet):
    """`SmallUNet` with frozen features beside its own: 0.4 M weights learn, 0.6 M never change."""

    def __init__(self, encoder_weights: str) -> None:
        super().__init__()
        # the head stays last: see `acceleration.exact_at_the_end`
        head = self.head
        del self.head
        self.frozen = frozen_encoder(encoder_weights)
        # what its stages give has no scale of its own
        self.scaled = nn.ModuleList(nn.BatchNorm2d(count, affine=False) for count in CHANNELS)
        levels = zip(pairwise((3 * 4, *self.WIDTHS)), CHANNELS, strict=True)
        self.down = nn.ModuleList(
            Block(below + extra, outputs) for (below, outputs), extra in levels
        )
        self.head = head

    def encode(self, images: Tensor) -> list[Tensor]:
        """Features from fine to coarse: strides 2, 4, 8, 16."""
        with torch.no_grad():
            frozen = self.frozen(images)[1:]
        levels: list[Tensor] = []
        features = nn.functional.pixel_unshuffle(images, 2)
        for level, (block, scaled) in enumerate(zip(self.down, self.scaled, strict=True)):
            below = nn.functional.max_pool2d(features, 2) if level else features
            features = block(torch.cat([below, scaled(frozen[level])], 1))
            levels.append(features)
        return levels


def frozen_encoder(encoder_weights: str) -> nn.Module:
    """Return the encoder's first stages in the units of `augment.normalise`, without batch norm.

    Its batch norms are folded into the convolutions: statistics that a training would change are
    no longer there.
    """
    from segmentation_models_pytorch.encoders import get_encoder

    encoder = get_encoder(ENCODER, depth=len(CHANNELS), weights=None)
    if encoder_weights != SCRATCH:
        fill_encoder(encoder, encoder_state(encoder_weights, ENCODER), name=ENCODER)
    encoder.eval()
    stages = encoder.get_submodule("model")
    # timm keeps what comes after the last stage that is asked for
    stages.blocks = stages.get_submodule("blocks")[:STAGES]  # type: ignore[index]
    fold(stages, (("conv_stem", "bn1"),))
    for block in (each for stage in stages.get_submodule("blocks") for each in stage):
        fold(block, OF_INVERTED if hasattr(block, "conv_pwl") else BATCH_NORMS)
    return in_its_units(encoder, ENCODER).requires_grad_(requires_grad=False)


def fold(block: nn.Module, pairs: tuple[tuple[str, str], ...]) -> None:
    """Have each convolution do what the batch norm after it does; its activation stays."""
    for convolution, norm in pairs:
        after = getattr(block, norm)
        setattr(block, convolution, fuse_conv_bn_eval(getattr(block, convolution), after))
        setattr(block, norm, after.act)
