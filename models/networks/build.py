"""Build a network by its name, and run it part by part."""

from typing import Any

import torch
from torch import Tensor, nn

from models.architectures.config import (
    ARCHITECTURES,
    CLASSES,
    FEATURED,
    OF_THE_PAPER,
    SCRATCH,
    NetworkConfig,
    NetworkError,
)
from models.architectures.featured_unet import FeaturedUNet
from models.architectures.rescaled import in_its_units
from models.architectures.small_unet import SmallUNet
from models.architectures.weights import encoder_state, fill_encoder


def build(config: NetworkConfig) -> nn.Module:
    """Build a network that maps images (B, 3, H, W) to logits (B, 2, H, W)."""
    if config.architecture == "unet-small":
        return SmallUNet()
    if config.architecture == FEATURED:
        return FeaturedUNet(config.encoder_weights)
    if config.architecture in OF_THE_PAPER:
        from models.architectures.choice import construct

        return construct(config)
    import segmentation_models_pytorch as smp

    choices: dict[str, Any] = {"encoder_name": config.encoder, "encoder_weights": None}
    if config.architecture == "unet":
        if config.decoder:
            choices |= {"decoder_channels": config.decoder}
        network = smp.Unet(classes=CLASSES, **choices)
    elif config.architecture == "deeplabv3plus":
        if config.plain_aspp:
            choices |= {"decoder_aspp_separable": False, "decoder_aspp_dropout": 0.5}
        network = smp.DeepLabV3Plus(
            classes=CLASSES, encoder_output_stride=config.output_stride, **choices
        )
    else:
        raise NetworkError(
            "unknown_architecture",
            f"There is no architecture {config.architecture!r}; choose one of "
            f"{', '.join(ARCHITECTURES)}.",
        )
    if config.encoder_weights != SCRATCH:
        state = encoder_state(config.encoder_weights, config.encoder)
        fill_encoder(network.encoder, state, name=config.encoder)
    network.encoder = in_its_units(network.encoder, config.encoder)
    return network  # type: ignore[no-any-return]


def encode(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Return what a network's decoder reads, from fine to coarse; the last is the bottleneck."""
    if isinstance(network, SmallUNet):
        return network.encode(images)
    features: list[Tensor] = network.get_submodule("encoder")(images)
    return features


def decode(network: nn.Module, features: list[Tensor]) -> Tensor:
    """Return logits (B, 2, H, W) of features, changed or not: what methods perturb in between."""
    return classify(network, merge(network, features))


def merge(network: nn.Module, features: list[Tensor]) -> Tensor:
    """Return what a network's head reads: its decoder's features, at a stride of 1, 2 or 4."""
    if isinstance(network, SmallUNet):
        return network.merge(features)
    merged: Tensor = network.get_submodule("decoder")(features)
    return merged


def classify(network: nn.Module, merged: Tensor) -> Tensor:
    """Return logits (B, 2, H, W) of `merge`'s features."""
    if isinstance(network, SmallUNet):
        return network.classify(merged)
    logits: Tensor = network.get_submodule("segmentation_head")(merged)
    return logits


def place(network: nn.Module, device: str) -> nn.Module:
    """Move a network to a device, laid out channels-last: what both CPUs and GPUs run best."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
