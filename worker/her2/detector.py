"""The nucleus detector that a report's inputs name, loaded; None is the built-in one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from backend.scores.detector import DetectorUnusable, Mounted, mounted
from models.her2.nuclei import Detector, Label, View
from models.nuclei.networks import KINDS, DetectorError, Network
from models.nuclei.windows import Windowed

BUILT_IN = "log"


@dataclass(frozen=True)
class Spoken:
    """A learned detector of one slide, whose failures are told as the service tells them."""

    drawn: Windowed

    @property
    def name(self) -> str:
        return self.drawn.name

    def __call__(self, view: View) -> Label:
        with in_words():
            return self.drawn(view)


def detector_of(path: str, frozen: Mapping[str, Any] | None) -> Detector | None:
    """Return the frozen detector from where it is mounted; None for the built-in one.

    Raise DetectorUnusable if another one is mounted there, or none, or it can't be loaded.
    """
    if frozen is None:
        return None
    named = f"{frozen['name']} (sha256 {frozen['sha256'][:12]}…)"
    if not path:
        raise DetectorUnusable(
            f"The nuclei are to be found by {named}, and no detector is mounted: set "
            "MEMBRANA_NUCLEUS_DETECTOR.",
            code="detector_missing",
        )
    found = mounted(Path(path))
    if found.frozen() != dict(frozen):
        raise DetectorUnusable(
            f"The nuclei are to be found by {named}, and {path} now holds {found.name} (sha256 "
            f"{found.sha256[:12]}…): mount the former again, or ask anew.",
            code="detector_changed",
        )
    return detector(found)


def detector(found: Mounted) -> Detector:
    """Return a mounted detector, for one slide. Raise DetectorUnusable."""
    with in_words():
        return Spoken(Windowed(found.name, network(found), found.mpp))


@contextmanager
def in_words() -> Iterator[None]:
    try:
        yield
    except DetectorError as error:
        raise DetectorUnusable(f"{error}", code=error.code) from error


def of_detector(frozen: Mapping[str, Any] | None) -> dict[str, Any]:
    """Say in a document's provenance what found the nuclei."""
    if frozen is None:
        return {"detector": BUILT_IN}
    said = f"{frozen['name']} ({frozen['kind']}, {frozen['licence']}), weights {frozen['sha256']}"
    return {"detector": said, "detector_weights": dict(frozen)}


@lru_cache(1)
def network(found: Mounted) -> Network:
    return KINDS[found.kind](found.weights, found.percentiles)
