"""Pretrained weights of encoders: of a local file, or of an installed package; never downloaded."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.networks.config import PACKAGED, SCRATCH, NetworkError
from models.networks.packaged import packaged_file, with_names_of_timm

WEIGHTS_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def check_encoder_weights(choice: str) -> None:
    """Raise NetworkError `encoder_weights_missing` unless it is a word, a file or a folder."""
    if choice not in {SCRATCH, PACKAGED} and not Path(choice).exists():
        raise NetworkError(
            "encoder_weights_missing",
            f"There are no encoder weights at {choice}. Mount the file there, or set the encoder "
            f"weights to the word {PACKAGED!r}, or to {SCRATCH!r} to train from random weights on "
            "purpose.",
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


def encoder_state(choice: str, encoder: str) -> dict[str, Tensor]:
    """Return the pretrained tensors that are chosen for an encoder. Raises NetworkError."""
    if choice == PACKAGED:
        return with_names_of_timm(read_weights(packaged_file(encoder)), encoder)
    return read_weights(weights_file(choice, encoder))


def fill_encoder(encoder: nn.Module, state: dict[str, Tensor], *, chosen: str) -> None:
    """Fill an encoder from an ImageNet classifier's or the encoder's own weights."""
    own = encoder.state_dict()
    # an encoder of timm's is wrapped in another
    inner = "model." if all(name.startswith("model.") for name in own) else ""
    named = (
        state if any(name in state for name in own) else {inner + n: t for n, t in state.items()}
    )
    missing = [name for name in own if name not in named and "num_batches" not in name]
    if missing:
        raise NetworkError(
            "encoder_weights_mismatch",
            f"The weights at {chosen} are of another encoder: {len(missing)} of {len(own)} "
            f"tensors are absent, such as {missing[0]}.",
        )
    encoder.load_state_dict({name: named[name] for name in own if name in named}, strict=False)
