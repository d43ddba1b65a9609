"""The areas of a patch that are worth a look, from what a model version's pyramid holds of it."""

from dataclasses import dataclass

import numpy as np

from backend.kit.storage.pyramids import Channel, Pixels
from backend.learning.predictions import patch_layers
from backend.learning.predictions.tables import Prediction
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import Patch

FULL = 255
"""One bit of doubt, as it is stored."""


@dataclass(frozen=True)
class Run:
    """Flagged pixels of a row, from `start` up to and without `stop`."""

    y: int
    start: int
    stop: int


@dataclass(frozen=True)
class Area:
    """Pixels that hang together, in analysis px from the patch's top left corner.

    pixels: how many they are; doubt: how much they hold, in bits: a pixel has at most one.
    """

    x: int
    y: int
    width: int
    height: int
    pixels: int
    doubt: float


def areas_of(slide: Slide, patch: Patch, prediction: Prediction, settings: Settings) -> list[Area]:
    """Return a patch's areas, the one that holds most doubt first."""
    flagged = patch_layers.channel(slide, patch, prediction, Channel.FLAGGED, settings)
    entropy = patch_layers.channel(slide, patch, prediction, Channel.UNCERTAINTY, settings)
    return sorted(connected(flagged, entropy), key=lambda area: (-area.doubt, area.y, area.x))


def connected(flagged: Pixels, entropy: Pixels) -> list[Area]:
    """Gather flagged pixels that touch, corners too, by runs of rows: without a pixel library."""
    runs: list[Run] = []
    parents: list[int] = []

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    above: list[int] = []
    for y, row in enumerate(flagged > 0):
        edges = np.flatnonzero(np.diff(np.concatenate(([False], row, [False]))))
        here = []
        for start, stop in edges.reshape(-1, 2).tolist():
            number = len(runs)
            runs.append(Run(y, start, stop))
            parents.append(number)
            here.append(number)
            for other in above:
                if runs[other].start <= stop and start <= runs[other].stop:
                    parents[root(other)] = root(number)
        above = here
    gathered: dict[int, list[Run]] = {}
    for number, run in enumerate(runs):
        gathered.setdefault(root(number), []).append(run)
    return [area_of(each, entropy) for each in gathered.values()]


def area_of(runs: list[Run], entropy: Pixels) -> Area:
    left, top = min(run.start for run in runs), min(run.y for run in runs)
    held = sum(int(entropy[run.y, run.start : run.stop].sum()) for run in runs)
    return Area(
        x=left,
        y=top,
        width=max(run.stop for run in runs) - left,
        height=max(run.y for run in runs) + 1 - top,
        pixels=sum(run.stop - run.start for run in runs),
        doubt=round(held / FULL, 2),
    )
