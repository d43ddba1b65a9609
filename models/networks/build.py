"""Build a network by its name, and run it part by part."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.augment import MEAN, STD
from models.networks.config import (
    ARCHITECTURES,
    CLASSES,
    OF_THE_PAPER,
    SCRATCH,
    NetworkConfig,
    NetworkError,
)
from models.networks.small_unet import SmallUNet
from models.networks.weights import encoder_state, fill_encoder


def build(config: NetworkConfig) -> nn.Module:
    """Build a network that maps images (B, 3, H, W) to logits (B, 2, H, W)."""
    if config.architecture == "unet-small":
        return SmallUNet()
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
        fill_encoder(network.encoder, state, chosen=config.encoder_weights)
    network.encoder = in_its_units(network.encoder, config.encoder)
    return network  # type: ignore[no-any-return]


class Rescaled(nn.Module):
    """An encoder that was taught in other units than `augment.normalise` makes: turned into its.

    Not folded into its first convolution: what is padded there would no longer be 0.
    """

    def __init__(self, inner: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.inner = inner
        self.output_stride = inner.output_stride
        pairs = zip(MEAN, STD, mean, std, strict=True)
        changes = [(ours / theirs, (m - t) / theirs) for m, ours, t, theirs in pairs]
        scale, shift = torch.tensor(changes).T.reshape(2, 3, 1, 1)
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", scale.contiguous(), persistent=False)
        self.register_buffer("shift", shift.contiguous(), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.inner(images * self.scale + self.shift)
        return features


def in_its_units(encoder: nn.Module, name: str) -> nn.Module:
    """Return an encoder that takes images in ImageNet's units, as all here do."""
    import timm

    known = timm.get_pretrained_cfg(name.removeprefix("tu-")) if name.startswith("tu-") else None
    if known is None or (tuple(known.mean), tuple(known.std)) == (MEAN, STD):
        return encoder
    return Rescaled(encoder, known.mean, known.std)


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
