"""What a network is by name, and what is wrong where it can't be one."""

from dataclasses import dataclass

from models.coded_error import CodedError

CLASSES = 2
SCRATCH, PACKAGED = "scratch", "imagenet"
"""Words for an encoder's first weights: random, or those that an installed package brings."""
OF_THE_PAPER = ("transunet", "swin-unet", "transfuse", "fafuse")
"""Fully supervised networks with a transformer: `models.architectures`."""
SMALL, PAPER = "small", "paper"
"""Encoders of each of these: one for a CPU, and the one that its authors used."""
FEATURED = "unet-small-features"
"""The small U-Net beside a frozen encoder: `models.architectures.featured_unet`."""
ARCHITECTURES = ("unet-small", FEATURED, "unet", "deeplabv3plus", *OF_THE_PAPER)


class NetworkError(CodedError):
    """A network that can't be built or loaded."""


class EncoderUnknown(NetworkError):
    """There is no such encoder, or none such that the network can have."""


@dataclass(frozen=True)
class NetworkConfig:
    """What is needed to build a network again.

    encoder_weights: a local file of pretrained weights (safetensors or a torch state dict), a
    folder of such files named after their encoders, or a word: `imagenet` for those that an
    installed package brings (`models.architectures.packaged`), or `scratch`. Nothing is ever
    downloaded. output_stride and encoder are those of segmentation-models-pytorch; `unet-small`
    has neither. The paper's fully supervised networks take the encoders `small`, `paper`, or names
    of timm's models (`models.architectures.choice`).
    """

    architecture: str = "unet-small"
    encoder: str = "resnet50"
    encoder_weights: str = SCRATCH
    output_stride: int = 16
    plain_aspp: bool = False
    decoder: tuple[int, ...] = ()
    """Channels of `unet`'s decoder from coarse to fine; empty: segmentation-models-pytorch's own.
    A light one takes half of a training's time on a CPU."""

    def __post_init__(self) -> None:
        # JSON knows no tuples
        object.__setattr__(self, "decoder", tuple(self.decoder))
