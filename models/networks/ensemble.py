"""What a method leaves behind, saved as one safetensors file that says what it is."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from models.architectures.config import SCRATCH, NetworkConfig, NetworkError
from models.networks.build import build


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
        # what a file says of another file is not read
        config = replace(NetworkConfig(**document["network"]), encoder_weights=SCRATCH)
        count = int(document["students"])
    except (LookupError, OSError, SafetensorError, TypeError, ValueError) as error:
        raise NetworkError("weights_unreadable", f"{path} holds no Membrana weights.") from error

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
    return Ensemble(config, filled("teacher"), students)
