"""Seconds for a million cells once masks exist. Goal: ≤ 60 s on four cores.

`python -m benchmarks.her2_cells [--workers 4] [--repeat 8]`. A phantom's block of 4096² px is laid
side by side `repeat` × `repeat` times; pixels and masks come from memory: reading a slide's file
and decoding its masks is in benchmarks.live_score, as the first score. Figures are scaled to a
million cells, with the nuclei of the shipped network and, in the same run, of the rule. Wall
seconds are those of the cores that there are; processor seconds,
of all cores together, hold on a busy machine, too: a quarter of them is what four free cores need.
"""

import argparse
import os
import resource
import time
from typing import Any, overload

import numpy as np

from backend.her2.scores.detector import SHIPPED
from benchmarks.record import record
from models.her2.connectivity import connectivity
from models.her2.nuclei import Detector
from models.her2.pixels import ANALYSIS_MPP, Field, Regions
from models.her2.protocols import load
from models.her2.quality import quality_flags
from models.her2.slide_score import summarise
from models.her2.tile import Settings
from models.her2.tiles import TILE_PX, measure
from models.her2.white_point import survey
from models.nuclei.shipped import GRID, shipped
from models.nuclei.windows import Windowed
from models.phantom import PhantomSpec, region
from models.phantom.tumour import richest_place
from models.stain import StainVectors

BLOCK_PX = 4096
MILLION = 1_000_000
GOAL_S = 60


class Repeated:
    """A field laid side by side without end, as Pixels and Masks."""

    def __init__(self, field: Field, times: int) -> None:
        self.field, self.mpp = field, field.mpp
        self.width, self.height = field.width * times, field.height * times

    @overload
    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> np.ndarray: ...
    @overload
    def read(self, x: int, y: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]: ...
    def read(
        self, x: int, y: int, width: int, height: int, mpp: float | None = None
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Read pixels, or where no mpp is named the masks."""
        if mpp is None:
            mask = self.field.masks.membrane
            return wrapped(mask, x, y, width, height), np.zeros((height, width), np.bool_)
        if mpp != ANALYSIS_MPP:
            return self.field.read(0, 0, width, height, mpp)
        return wrapped(self.field.image, x, y, width, height)


def wrapped(block: np.ndarray, x: int, y: int, width: int, height: int) -> np.ndarray:
    """Copy a box piece by piece, as a reader would."""
    side = len(block)
    out = np.empty((height, width, *block.shape[2:]), block.dtype)
    row = 0
    while row < height:
        top = (y + row) % side
        rows = min(side - top, height - row)
        col = 0
        while col < width:
            left = (x + col) % side
            cols = min(side - left, width - col)
            piece = block[top : top + rows, left : left + cols]
            out[row : row + rows, col : col + cols] = piece
            col += cols
        row += rows
    return out


class Watch:
    """Wall and processor seconds by name."""

    def __init__(self) -> None:
        self.laps: dict[str, tuple[float, float]] = {}
        self._from = time.perf_counter(), time.process_time()

    def lap(self, name: str) -> None:
        now = time.perf_counter(), time.process_time()
        self.laps[name] = now[0] - self._from[0], now[1] - self._from[1]
        self._from = now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=8)
    parser.add_argument("--block", type=int, default=BLOCK_PX)
    asked = parser.parse_args()
    spec = PhantomSpec(seed=11, her2="2+", outline=False, tumour=0.9, out_of_focus=0.0)
    x0, y0 = richest_place(spec, asked.block)
    drawn = region(spec, x0, y0, asked.block, asked.block, jpeg=True)
    slide = Repeated(Field(drawn.image, spec.mpp, drawn.mask > 0), asked.repeat)
    both = {
        name: seconds_of(slide, detector, asked.workers)
        for name, detector in (
            ("rule", None),
            ("network", Windowed("network", shipped(SHIPPED.sha256), 0.5, grid=GRID, at_once=64)),
        )
    }
    megapixels = slide.width * slide.height / 1e6
    ratio = both["network"]["processor_s_for_a_million"] / both["rule"]["processor_s_for_a_million"]
    record(
        "her2_cells",
        {
            **both["network"],
            "cells_per_mm2": round(both["network"]["cells"] / (megapixels * spec.mpp**2)),
            "megapixels": round(megapixels, 1),
            "workers": asked.workers,
            "tile_px": TILE_PX,
            "detector": SHIPPED.name,
            "with_the_rule": both["rule"],
            "processor_ratio_to_the_rule": round(ratio, 2),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "goal_s": GOAL_S,
            "load_average": round(os.getloadavg()[1], 1),
        },
    )


def seconds_of(slide: Repeated, detector: Detector | None, workers: int) -> dict[str, Any]:
    """Measure and score a slide's cells; say how many there are and how long it took."""
    regions = Regions.whole(slide)
    rules = load("asco_cap_2023_breast")
    settings = Settings(rules, StainVectors())
    watch = Watch()
    known = survey(slide.field, settings.vectors)
    watch.lap("survey")
    measurement = measure(
        slide,
        slide,
        regions=regions,
        settings=settings,
        known=known,
        workers=workers,
        detector=detector,
    )
    watch.lap("cells")
    connected = connectivity(slide, slide, regions)
    watch.lap("connectivity")
    summarise(
        measurement.cells.tile_counts(rules, regions=regions),
        rules,
        flags=quality_flags(measurement, regions),
        connectivity=connected,
    )
    watch.lap("score")
    wall, spent = (sum(each) for each in zip(*watch.laps.values(), strict=True))
    cells = len(measurement.cells)
    return {
        "cells": cells,
        "wall_s": round(wall, 2),
        "processor_s": round(spent, 2),
        "wall_s_for_a_million": round(wall * MILLION / cells, 1),
        "processor_s_for_a_million": round(spent * MILLION / cells, 1),
        "parts": {
            name: {"wall_s": round(lap[0], 2), "processor_s": round(lap[1], 2)}
            for name, lap in watch.laps.items()
        },
    }


if __name__ == "__main__":
    main()
