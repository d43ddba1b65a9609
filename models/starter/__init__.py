"""The starter: a trained network in the package, which proposes before anybody has annotated.

`weights.safetensors` and `card.json` are written by `python -m benchmarks.starter --ship`; the card
says what it learned from, under which licences, what it is worth and what it is not for. It names
the weights' sha256: others are refused.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

FOLDER = files(__name__)
CARD, WEIGHTS, RANGES = "card.json", "weights.safetensors", "ranges.json"


class StarterDamaged(ValueError):
    """A file of the package is missing, or is not the one that the card names."""


@dataclass(frozen=True)
class Starter:
    """The shipped model. card: its document; ranges: what its eight bits are read from."""

    card: dict[str, Any]
    weights: bytes
    ranges: bytes

    @property
    def name(self) -> str:
        return str(self.card["name"])

    @property
    def sha256(self) -> str:
        return str(self.card["weights_sha256"])


def shipped() -> Starter:
    """Read the starter that this package brings. Raises StarterDamaged."""
    try:
        card = json.loads((FOLDER / CARD).read_text())
        weights, ranges = ((FOLDER / name).read_bytes() for name in (WEIGHTS, RANGES))
        wanted = card["weights_sha256"], card["ranges_sha256"]
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise StarterDamaged(f"The starter in this package can't be read: {error}.") from error
    if (sha256_of(weights), sha256_of(ranges)) != wanted:
        raise StarterDamaged(
            "The starter's files are not those that its card names: install the package again."
        )
    return Starter(card, weights, ranges)


def weights_path() -> Path:
    """Return where the weights lie, for what loads them from a file."""
    return Path(str(FOLDER)) / WEIGHTS


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
