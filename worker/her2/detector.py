"""The nucleus detector that a report's inputs name, loaded; None is the built-in rule."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from backend.her2.scores.detector import RULE, SHIPPED, DetectorUnusable, Mounted, mounted
from models.her2.flags import Flag
from models.her2.nuclei import Detector, Label, View
from models.her2.protocols import Protocol
from models.nuclei.networks import KINDS, DetectorError, Network
from models.nuclei.shipped import GRID, shipped
from models.nuclei.windows import Windowed

BUILT_IN = RULE
FINDING = ("sha256", "kind", "mpp", "percentiles")
"""What of a detector's card and weights decides which nuclei it finds."""


@dataclass(frozen=True)
class LearnedDetector:
    """A learned detector of one slide, whose failures are told as the service tells them."""

    windows: Windowed

    @property
    def name(self) -> str:
        return self.windows.name

    def __call__(self, view: View) -> Label:
        with in_words():
            return self.windows(view)


def detector_of(path: str, frozen: Mapping[str, Any] | None) -> Detector | None:
    """Return the frozen detector, shipped or from where it is mounted; None for the built-in rule.

    Raise DetectorUnusable if another one is mounted there, or none, or it can't be loaded.
    """
    if frozen is None:
        return None
    if frozen["kind"] == SHIPPED.kind:
        if dict(frozen) != SHIPPED.frozen():
            raise DetectorUnusable(
                f"The nuclei are to be found by {named(frozen)}, which came with another version "
                f"of Membrana; this one comes with {named(SHIPPED.frozen())}: ask anew.",
                code="detector_changed",
            )
        return detector(SHIPPED)
    if path in {"", RULE}:
        raise DetectorUnusable(
            f"The nuclei are to be found by {named(frozen)}, and no detector is mounted: set "
            "MEMBRANA_NUCLEUS_DETECTOR.",
            code="detector_missing",
        )
    mounted_now = mounted(Path(path))
    if mounted_now.frozen() != dict(frozen):
        raise DetectorUnusable(
            f"The nuclei are to be found by {named(frozen)}, and {path} now holds "
            f"{named(mounted_now.frozen())}: mount the former again, or ask anew.",
            code="detector_changed",
        )
    return detector(mounted_now)


def detector(files: Mounted) -> Detector:
    """Return a shipped or mounted detector, for one slide. Raise DetectorUnusable."""
    with in_words():
        if files.kind == SHIPPED.kind:
            # each thread has its own request of one processor
            model, grid, at_once = shipped(files.sha256), GRID, os.cpu_count() or 1
        else:
            model, grid, at_once = network(files), None, 1
        return LearnedDetector(Windowed(files.name, model, files.mpp, grid=grid, at_once=at_once))


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
    description = (
        f"{frozen['name']} ({frozen['kind']}, {frozen['licence']}), weights {frozen['sha256']}"
    )
    return {"detector": description, "detector_weights": dict(frozen)}


def calibration_flags(protocol: Protocol, frozen: Mapping[str, Any] | None) -> Iterator[Flag]:
    """Remark that the thresholds were measured on nuclei that another detector had found."""
    calibration = protocol.calibration
    if calibration and (doubt := doubt_on(calibration.detector, frozen)):
        yield Flag("calibration_detector", doubt)


def doubt_on(then: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str | None:
    """Say that a calibration's detector is another one than that of now; None if it is not."""
    if finding_parameters(then) == finding_parameters(now):
        return None
    return (
        f"The calibration was measured on nuclei from {named(then)}; now they are from "
        f"{named(now)}. Its thresholds may not hold: calibrate anew with this detector."
    )


def finding_parameters(detector: Mapping[str, Any] | None) -> tuple[Any, ...]:
    return tuple(None if detector is None else detector.get(name) for name in FINDING)


def named(detector: Mapping[str, Any] | None) -> str:
    if detector is None:
        return "the built-in rule"
    return f"{detector['name']} (sha256 {detector['sha256'][:12]}…)"


@lru_cache(1)
def network(files: Mounted) -> Network:
    return KINDS[files.kind](files.weights, files.percentiles)
