"""Pretrained weights of encoders: of local files, or of an installed package; never downloaded."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.architectures.config import PACKAGED, SCRATCH, NetworkError
from models.architectures.packaged import packaged_file, with_names_of_timm

State = dict[str, Tensor]
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


def read_weights(path: Path) -> State:
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


def encoder_state(choice: str, encoder: str) -> State:
    """Return the pretrained tensors that are chosen for an encoder. Raises NetworkError."""
    if choice == PACKAGED:
        return with_names_of_timm(read_weights(packaged_file(encoder)), encoder)
    return read_weights(weights_file(choice, encoder))


def states(choice: str, parts: list[str]) -> list[State] | None:
    """Read the weights of each named part of an encoder; None for `scratch`.

    choice: a file, if there is one part, a folder that holds a file named after each part, or the
    word for what an installed package brings.
    """
    if choice == SCRATCH:
        return None
    check_encoder_weights(choice)
    if len(parts) > 1 and choice != PACKAGED and not Path(choice).is_dir():
        raise NetworkError(
            "encoder_weights_mismatch",
            f"The encoder has the parts {' and '.join(parts)}, and {choice} is one file. Name a "
            f"folder that holds {parts[0]}.safetensors and so on.",
        )
    return [encoder_state(choice, part) for part in parts]


def fill(module: nn.Module, state: State, *, name: str, optional: tuple[str, ...] = ()) -> None:
    """Load a module's weights from a state that may hold more.

    optional: beginnings of names that may be absent; those weights stay as they were drawn.
    Raises NetworkError `encoder_weights_mismatch` where others are absent or have another shape.
    """
    own = module.state_dict()
    wanted = [
        key for key in own if not key.startswith(optional or "\0") and "num_batches" not in key
    ]
    wrong = [key for key in wanted if key not in state or state[key].shape != own[key].shape]
    if wrong:
        raise NetworkError(
            "encoder_weights_mismatch",
            f"The weights are of another encoder than {name}: {len(wrong)} of {len(wanted)} "
            f"tensors are absent or of another shape, such as {wrong[0]}.",
        )
    fitting = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    module.load_state_dict(fitting, strict=False)


def fill_encoder(encoder: nn.Module, state: State, *, name: str) -> None:
    """Fill an encoder from an ImageNet classifier's or the encoder's own weights."""
    own = encoder.state_dict()
    # an encoder of timm's is wrapped in another
    inner = "model." if all(key.startswith("model.") for key in own) else ""
    if not any(key in state for key in own):
        state = {inner + key: tensor for key, tensor in state.items()}
    fill(encoder, state, name=name)
