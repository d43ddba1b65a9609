"""Which encoders each of these architectures takes, and what it is by name."""

from dataclasses import dataclass, replace

from torch import nn

from models.architectures.config import PAPER, SMALL, EncoderUnknown, NetworkConfig
from models.architectures.fafuse import FAFuse
from models.architectures.swin_unet import SwinUnet
from models.architectures.transfuse import TransFuse
from models.architectures.transunet import TransUNet


@dataclass(frozen=True)
class Architecture:
    """A network's class, its encoder for a CPU, and the one that its authors used."""

    network: type[nn.Module]
    small: str
    paper: str

    def encoder(self, name: str) -> str:
        """Return the encoder that a word names: `small`, `paper`, or a name of its own."""
        return {SMALL: self.small, PAPER: self.paper}.get(name, name)


KNOWN = {
    "transunet": Architecture(
        TransUNet, small="resnet18+vit_tiny_patch16_224", paper="vit_base_r50_s16_384"
    ),
    "swin-unet": Architecture(
        SwinUnet, small="swin_micro_window4", paper="swin_tiny_patch4_window7_224"
    ),
    "transfuse": Architecture(
        TransFuse, small="resnet18+deit_tiny_patch16_224", paper="resnet34+deit_small_patch16_224"
    ),
    "fafuse": Architecture(
        FAFuse, small="resnet18+deit_tiny_patch16_224", paper="resnet34+deit_base_patch16_224"
    ),
}


def construct(config: NetworkConfig) -> nn.Module:
    """Build one of these networks. Raises NetworkError for an encoder that it can't have."""
    known = KNOWN[config.architecture]
    try:
        return known.network(replace(config, encoder=known.encoder(config.encoder)))
    except EncoderUnknown as error:
        raise EncoderUnknown(
            error.code,
            f"{error} {config.architecture} takes the encoder {SMALL!r} ({known.small}), "
            f"{PAPER!r} ({known.paper}), or another of these kinds.",
        ) from error
