"""Networks: built by name, saved as one safetensors file that says what it is."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

CLASSES = 2
SCRATCH = "scratch"
WEIGHTS_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
OF_THE_PAPER = ("transunet", "swin-unet", "transfuse", "fafuse")
"""Fully supervised networks with a transformer: `models.architectures`."""
SMALL, PAPER = "small", "paper"
"""Encoders of each of these: one for a CPU, and the one that its authors used."""
ARCHITECTURES = ("unet-small", "unet", "deeplabv3plus", *OF_THE_PAPER)


class NetworkError(ValueError):
    """A network that can't be built or loaded; `code` is stable, the text says what to do."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Let it cross from a process to another, as from a study's trainings."""
        return type(self), (self.code, str(self))


@dataclass(frozen=True)
class NetworkConfig:
    """What is needed to build a network again.

    encoder_weights: a local file of pretrained weights (safetensors or a torch state dict), a
    folder of such files named after their encoders, or the word `scratch`. Nothing is ever
    downloaded. output_stride and encoder are those of segmentation-models-pytorch; `unet-small`
    has neither. The paper's fully supervised networks take the encoders `small`, `paper`, or names
    of timm's models (`models.architectures.choice`).
    """

    architecture: str = "unet-small"
    encoder: str = "resnet50"
    encoder_weights: str = SCRATCH
    output_stride: int = 16
    plain_aspp: bool = False


class Block(nn.Sequential):
    """Two 3x3 convolutions, batch-normalised: even one crop has thousands of pixels a channel.

    Group norm learned slower and cost more (phantom, 10 patches, 200 supervised steps, two seeds:
    Dice 0.63 and 0.68 against 0.72 and 0.71).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class SmallUNet(nn.Module):
    """A U-Net that trains in minutes on two CPU cores: 0.3 M parameters, 0.9 GFLOP at 256².

    It works at half the resolution (2x2 pixels become channels, and logits become pixels again),
    where a membrane is still two or three pixels wide, and adds its skips instead of stacking
    them: five times cheaper than the plain shape.
    """

    WIDTHS = (16, 32, 64, 96)
    PRIOR = 0.08
    """Share of membrane that the untrained network proposes: it need not learn that first."""

    def __init__(self) -> None:
        super().__init__()
        levels = pairwise((3 * 4, *self.WIDTHS))
        self.down = nn.ModuleList(Block(inputs, outputs) for inputs, outputs in levels)
        steps = list(pairwise(self.WIDTHS[::-1]))
        self.narrow = nn.ModuleList(nn.Conv2d(below, here, 1) for below, here in steps)
        self.up = nn.ModuleList(Block(here, here) for _, here in steps)
        self.head = nn.Conv2d(self.WIDTHS[0], CLASSES * 4, 1)
        odds = 0.5 * math.log(self.PRIOR / (1 - self.PRIOR))
        with torch.no_grad():
            assert self.head.bias is not None
            self.head.bias.copy_(torch.tensor([-odds] * 4 + [odds] * 4))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 2, H, W) of images (B, 3, H, W); H and W are multiples of 16."""
        return self.decode(self.encode(images))

    def encode(self, images: Tensor) -> list[Tensor]:
        """Features from fine to coarse: strides 2, 4, 8, 16."""
        levels: list[Tensor] = []
        features = nn.functional.pixel_unshuffle(images, 2)
        for level, block in enumerate(self.down):
            features = block(nn.functional.max_pool2d(features, 2) if level else features)
            levels.append(features)
        return levels

    def decode(self, levels: list[Tensor]) -> Tensor:
        """Logits (B, 2, H, W) of `encode`'s features."""
        return self.classify(self.merge(levels))

    def merge(self, levels: list[Tensor]) -> Tensor:
        """Decoded features (B, 16, H/2, W/2) of `encode`'s features."""
        features = levels[-1]
        for narrow, block, skip in zip(self.narrow, self.up, levels[-2::-1], strict=True):
            below = nn.functional.interpolate(narrow(features), scale_factor=2.0)
            features = block(below + skip)
        return features

    def classify(self, merged: Tensor) -> Tensor:
        """Logits (B, 2, H, W) of `merge`'s features."""
        return nn.functional.pixel_shuffle(self.head(merged), 2)


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
        load_encoder(network.encoder, weights_file(config.encoder_weights, config.encoder))
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


def check_encoder_weights(choice: str) -> None:
    """Raise NetworkError `encoder_weights_missing` unless it is `scratch`, a file or a folder."""
    if choice != SCRATCH and not Path(choice).exists():
        raise NetworkError(
            "encoder_weights_missing",
            f"There are no encoder weights at {choice}. Mount the file there, or set the encoder "
            f"weights to the word {SCRATCH!r} to train from random weights on purpose.",
        )


def weights_file(choice: str, encoder: str) -> Path:
    """Return the file that is chosen, or in a chosen folder the one named after an encoder."""
    if not Path(choice).is_dir():
        return Path(choice)
    names = [Path(choice) / f"{encoder}{suffix}" for suffix in WEIGHTS_SUFFIXES]
    return next((name for name in names if name.is_file()), names[0])


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file or a torch state dict; refuse a missing one as above."""
    check_encoder_weights(str(path))
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, UnpicklingError, SafetensorError, *OF_NO_PICKLE) as error:
        raise unreadable(path) from error
    if not isinstance(state, dict):
        raise unreadable(path)
    # the authors of DeiT and Swin put theirs into a document
    inner = state.get("model")
    return inner if isinstance(inner, dict) else state


OF_NO_PICKLE = (EOFError, LookupError, RuntimeError, TypeError, ValueError)
"""What torch's reader stumbles over in bytes that are anything else."""


def unreadable(path: Path) -> NetworkError:
    return NetworkError(
        "encoder_weights_unreadable",
        f"The encoder weights at {path} can't be read: they are neither a safetensors file nor a "
        "state dict of torch's.",
    )


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Fill an encoder from a file of an ImageNet classifier's or the encoder's own weights."""
    state = read_weights(path)
    wanted = encoder.state_dict().keys()
    missing = [name for name in wanted if name not in state and "num_batches" not in name]
    if missing:
        raise NetworkError(
            "encoder_weights_mismatch",
            f"The weights at {path} are of another encoder: {len(missing)} of {len(wanted)} "
            f"tensors are absent, such as {missing[0]}.",
        )
    encoder.load_state_dict({name: state[name] for name in wanted if name in state}, strict=False)


@dataclass(frozen=True)
class Ensemble:
    """What a method leaves behind: the teacher predicts, the students tell where to look."""

    config: NetworkConfig
    teacher: nn.Module
    students: tuple[nn.Module, ...]

    def named(self) -> dict[str, nn.Module]:
        numbered = {f"student_{number}": net for number, net in enumerate(self.students, 1)}
        return {"teacher": self.teacher, **numbered}

    def networks(self) -> tuple[nn.Module, ...]:
        """Return the teacher, then the students."""
        return (self.teacher, *self.students)


def save_ensemble(ensemble: Ensemble, path: Path) -> str:
    """Write the weights with their configuration; return the file's sha256. Same in, same out."""
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, network in ensemble.named().items()
        for key, tensor in network.state_dict().items()
    }
    # where the encoder's first weights lay on some machine is no part of the model
    config = asdict(ensemble.config) | {"encoder_weights": SCRATCH}
    document = json.dumps({"network": config, "students": len(ensemble.students)}, sort_keys=True)
    content = save(tensors, metadata={"membrana": document})
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def load_ensemble(path: Path) -> Ensemble:
    """Read what `save_ensemble` wrote. Raises NetworkError for any other file."""
    try:
        with safe_open(path, "pt") as file:
            document = json.loads((file.metadata() or {})["membrana"])
        tensors = load_file(path)
    except (KeyError, OSError, SafetensorError, ValueError) as error:
        raise NetworkError("weights_unreadable", f"{path} holds no Membrana weights.") from error
    config = NetworkConfig(**document["network"])

    def filled(name: str) -> nn.Module:
        network = build(config)
        prefix = f"{name}."
        network.load_state_dict(
            {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
        )
        return network

    students = tuple(filled(f"student_{n}") for n in range(1, document["students"] + 1))
    return Ensemble(config, filled("teacher"), students)
