"""What a method leaves behind, saved as one safetensors file that says what it is."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from models.architectures.config import SCRATCH, NetworkConfig, NetworkError
from models.networks.build import build

HALF = 0.5
"""The threshold of weights that name none: of all that were saved before there was another."""


@dataclass(frozen=True)
class Ensemble:
    """What a method leaves behind: the teacher predicts, the students tell where to look.

    threshold: the probability from which on the networks mean membrane, above 0 and below 1. It
    was chosen where truth is known and is carried by the weights; training on from them does not
    look at it. stain_rules: whether what they say is no membrane is none (`models.stain_rules`),
    for networks that have seen few slides.
    """

    config: NetworkConfig
    teacher: nn.Module
    students: tuple[nn.Module, ...]
    threshold: float = HALF
    stain_rules: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"A threshold lies between 0 and 1, not at {self.threshold}.")

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
    document = {"network": config, "students": len(ensemble.students)}
    return write(tensors, document | carried(ensemble.threshold, ensemble.stain_rules), path)


def carried(threshold: float, stain_rules: bool) -> dict[str, float | bool]:  # noqa: FBT001
    # what is as it always was is not named: such weights are the bytes that they were before
    named = {"threshold": threshold, "stain_rules": stain_rules}
    usual = {"threshold": HALF, "stain_rules": False}
    return {name: value for name, value in named.items() if value != usual[name]}


def write(tensors: dict[str, torch.Tensor], document: dict[str, Any], path: Path) -> str:
    content = save(tensors, metadata={"membrana": json.dumps(document, sort_keys=True)})
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def save_with_threshold(
    source: Path, threshold: float, path: Path, *, stain_rules: bool = False
) -> str:
    """Write weights once more, for another threshold, and return the new file's sha256.

    stain_rules: as an Ensemble's.

    Raises NetworkError for a file that `save_ensemble` did not write, ValueError for a threshold
    that is none.
    """
    document, tensors = read(source)
    if not 0 < threshold < 1:
        raise ValueError(f"A threshold lies between 0 and 1, not at {threshold}.")
    for name in ("threshold", "stain_rules"):
        document.pop(name, None)
    return write(tensors, document | carried(threshold, stain_rules), path)


def threshold_of(path: Path) -> float:
    """Return the threshold that a file of weights carries. Raises NetworkError as `read` does."""
    return named_threshold(read(path)[0], path)


def named_threshold(document: dict[str, Any], path: Path) -> float:
    try:
        threshold = float(document.get("threshold", HALF))
    except (TypeError, ValueError):
        threshold = 0.0
    if not 0 < threshold < 1:
        raise NetworkError(
            "weights_unreadable", f"{path} names a threshold that does not lie between 0 and 1."
        )
    return threshold


def read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return what a file of weights says of itself, and its tensors. Raises NetworkError."""
    try:
        with safe_open(path, "pt") as file:
            document = json.loads((file.metadata() or {})["membrana"])
        return dict(document), load_file(path)
    except (LookupError, OSError, SafetensorError, TypeError, ValueError) as error:
        raise no_weights(path) from error


def no_weights(path: Path) -> NetworkError:
    return NetworkError("weights_unreadable", f"{path} holds no Membrana weights.")


def load_ensemble(path: Path) -> Ensemble:
    """Read what `save_ensemble` wrote. Raises NetworkError for any other file."""
    document, tensors = read(path)
    try:
        # what a file says of another file is not read
        config = replace(NetworkConfig(**document["network"]), encoder_weights=SCRATCH)
        count = int(document["students"])
    except (LookupError, TypeError, ValueError) as error:
        raise no_weights(path) from error

    def filled(name: str) -> nn.Module:
        prefix = f"{name}."
        own = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
        try:
            network = build(config)
            network.load_state_dict(own)
        except NetworkError:
            raise
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            raise NetworkError(
                "weights_unreadable",
                f"The weights in {path} are not those of the network that they name "
                f"({config.architecture}, {config.encoder}): {name} does not fit.",
            ) from error
        return network

    students = tuple(filled(f"student_{n}") for n in range(1, count + 1))
    threshold, ruled = named_threshold(document, path), document.get("stain_rules") is True
    return Ensemble(config, filled("teacher"), students, threshold, ruled)
