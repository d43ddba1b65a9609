"""Which detector finds nuclei: the one that comes with Membrana, the rule, or one that is mounted.

A mounted one is told by a card and the weights' sha256. A file `nuclei.pt` has its card beside it,
`nuclei.json`; a folder has `detector.json` inside.
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.kit.errors import Unavailable
from backend.kit.plain_words import described
from backend.kit.storage.blobs import file_sha256

CARD = "detector.json"
RULE = "log"
"""Chosen by this word: the rule without weights, a Laplacian of a Gaussian."""
Stamp = tuple[tuple[str, int, int], ...]
"""Path, bytes and time of change of each file."""


class DetectorUnusable(Unavailable):
    code, title = "detector_invalid", "The nucleus detector can't be used"


class Card(BaseModel):
    """What weights don't say of themselves.

    mpp: µm per pixel that it wants. percentiles: of the pixels, taken for 0 and 1; null: as they
    are. file: of a folder, the TorchScript module or Cellpose model. sha256: if given, the weights
    must have it.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=100)
    kind: Literal["torchscript", "stardist", "cellpose"]
    mpp: float = Field(0.5, ge=0.1, le=2)
    licence: str = Field(min_length=1, max_length=100)
    percentiles: tuple[float, float] | None = (0.1, 99.9)
    file: str | None = None
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")


class Mounted(BaseModel):
    """A detector's card and weights. `weights` is the file, or StarDist's folder."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    mpp: float
    licence: str
    percentiles: tuple[float, float] | None
    sha256: str
    weights: Path

    def frozen(self) -> dict[str, Any]:
        """Return what a report's inputs keep of it."""
        return self.model_dump(mode="json", exclude={"weights"})


SHIPPED = Mounted(
    name="membrana-nuclei-1",
    kind="membrana",
    mpp=0.5,
    licence="Apache-2.0",
    percentiles=None,
    sha256="ba1cba12daf49d678d278fd30ae68340f851c96ced8284e1ac3cd759527585b6",
    weights=Path("nuclei.safetensors"),
)
"""The network of models/nuclei/weights, where its card lies, too; a test holds them together."""


def chosen(choice: str) -> Mounted | None:
    """Return the detector of a choice: empty is the shipped one, RULE None, else what is mounted.

    Raise DetectorUnusable.
    """
    if not choice:
        return SHIPPED
    return None if choice == RULE else mounted(Path(choice))


def mounted(path: Path) -> Mounted:
    """Read the detector at a path. Raise DetectorUnusable: detector_missing, detector_invalid."""
    if not path.exists():
        raise DetectorUnusable(
            f"There is no nucleus detector at {path}: mount its weights there, leave the choice "
            f"out for the one that comes with Membrana, or name the built-in rule, {RULE!r}.",
            code="detector_missing",
        )
    card = read_card(path / CARD if path.is_dir() else path.with_suffix(".json"))
    weights = path if card.kind == "stardist" or not path.is_dir() else inside(path, card)
    if card.kind == "stardist" and not path.is_dir():
        raise DetectorUnusable(
            f"{path.name} is a file; StarDist's models are folders with a config.json."
        )
    sha256 = sha256_of(path, stamp(path))
    if card.sha256 not in (None, sha256):
        raise DetectorUnusable(
            f"{path.name} has the sha256 {sha256}, its card names {card.sha256}: these are not "
            "the weights that the card is of."
        )
    properties = card.model_dump(exclude={"file", "sha256"})
    return Mounted(**properties, sha256=sha256, weights=weights)


def read_card(path: Path) -> Card:
    try:
        return Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DetectorUnusable(
            f"{path} can't be read: a detector's name, kind, mpp and licence stand there as JSON.",
            code="detector_missing",
        ) from error
    except ValidationError as error:
        complaints = " ".join(each["message"] for each in described(error.errors()))
        raise DetectorUnusable(f"{path.name}: {complaints}") from error


def inside(folder: Path, card: Card) -> Path:
    """Return the file of weights in a folder: the card's, or the only one that it can be."""
    if card.file is not None:
        weights = folder / card.file
        if weights.resolve().parent != folder.resolve() or not weights.is_file():
            raise DetectorUnusable(
                f"{folder} has no file {card.file}, which its card names.", code="detector_missing"
            )
        return weights
    candidates = [each for each in sorted(folder.iterdir()) if each.is_file() and each.name != CARD]
    if card.kind == "torchscript":
        candidates = [each for each in candidates if each.suffix in {".pt", ".ts", ".torchscript"}]
    if len(candidates) != 1:
        raise DetectorUnusable(
            f"{folder} holds {len(candidates)} files that may be the weights: name one in {CARD} "
            "as `file`.",
            code="detector_missing",
        )
    return candidates[0]


def stamp(path: Path) -> Stamp:
    """Tell whether weights have changed since they were hashed. The card is no part of them."""
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    stats = ((each, each.stat()) for each in files if each != path / CARD)
    return tuple((str(each), stat.st_size, stat.st_mtime_ns) for each, stat in stats)


@lru_cache(8)
def sha256_of(path: Path, files: Stamp) -> str:
    """Hash a file, or a folder's files with their names."""
    if path.is_file():
        return file_sha256(path)
    whole = hashlib.sha256()
    for name, _, _ in files:
        each = Path(name)
        whole.update(f"{each.relative_to(path).as_posix()}\0{file_sha256(each)}\n".encode())
    return whole.hexdigest()
