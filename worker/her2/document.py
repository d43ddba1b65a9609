"""The report's document: the score document with its evidence and where all of it comes from.

Pure: the same cells, edits, regions and inputs give the same bytes.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.her2.regions.geojson import Region
from backend.her2.regions.tables import RegionKind
from models.her2.calibrate import vectors_of
from models.her2.cells import OVERRIDDEN, Cells
from models.her2.classes import COMPLETE, INDEX
from models.her2.flags import Flag
from models.her2.pixels import Regions
from models.her2.protocols import Protocol
from models.her2.slide_score import summarise
from models.her2.tile import Settings

Bool = npt.NDArray[np.bool_]
OD_STEP, OD_MOST = 0.025, 1.2
"""Bins of the histogram of intensity, log10 optical density; the last holds all above."""
SHARE_BINS = 20


@dataclass(frozen=True)
class CellEdit:
    """What a person decided of one cell: its class, or None to leave it out."""

    number: int
    label: str | None


@dataclass(frozen=True)
class Scored:
    """A slide's document, and its cells with people's classes; `included`: bool (n,), counted."""

    document: dict[str, Any]
    cells: Cells
    included: Bool


def settings_of(protocol: Protocol) -> Settings:
    """Return how a protocol measures."""
    return Settings(cutoffs=protocol, vectors=vectors_of(protocol))


def edited(cells: Cells, edits: Iterable[CellEdit]) -> tuple[Cells, Bool]:
    """Apply people's decisions, each cell's last one counting."""
    label, flags = cells.label.copy(), cells.flags.copy()
    included = np.ones(len(cells), np.bool_)
    for edit in edits:
        flags[edit.number] |= OVERRIDDEN
        included[edit.number] = edit.label is not None
        if edit.label is not None:
            label[edit.number] = INDEX[edit.label]
    return replace(cells, label=label, flags=flags), included


def score(
    cells: Cells,
    edits: Sequence[CellEdit],
    *,
    protocol: Protocol,
    regions: Regions,
    flags: Iterable[Flag],
    connectivity: float | None,
    seed: int,
    tissue_mm2: float,
) -> Scored:
    """Score the cells that count; the document has no provenance yet.

    tissue_mm2: in the regions, which may hold glass, too.
    """
    changed, included = edited(cells, edits)
    counted = changed.take(included)
    tiles = counted.tile_counts(protocol, regions=regions)
    document = summarise(tiles, protocol, flags=flags, seed=seed, connectivity=connectivity)
    document["excluded_cells"] = int((~included).sum())
    document["edited_cells"] = len(edits)
    document |= areas(regions, cells.mpp, tissue_mm2)
    document["histogram"] = {
        "intensity": intensity_histogram(counted),
        "completeness": completeness_histogram(counted),
    }
    return Scored(document, changed, included)


def areas(regions: Regions, mpp: float, tissue_mm2: float) -> dict[str, float]:
    """Say on how much tissue a score was counted, and how much was marked for that, both mm²."""
    return {
        "evaluated_area_mm2": tissue_mm2,
        "region_area_mm2": round(float(regions.tumour.area) * mpp**2 / 1e6, 8),
    }


def intensity_histogram(cells: Cells) -> dict[str, Any]:
    """Cells by intensity: unstained, stained in part, all round."""
    bins = round(OD_MOST / OD_STEP)
    place = np.clip((cells.intensity / OD_STEP).astype(np.int64), 0, bins - 1)
    complete = np.asarray(COMPLETE)[cells.label]
    stained = cells.label > 0
    return {
        "from": 0.0,
        "step": OD_STEP,
        "none": np.bincount(place[~stained], minlength=bins).tolist(),
        "partial": np.bincount(place[stained & ~complete], minlength=bins).tolist(),
        "complete": np.bincount(place[stained & complete], minlength=bins).tolist(),
    }


def completeness_histogram(cells: Cells) -> dict[str, Any]:
    """Cells by the stained share of their own membrane, c*."""
    place = np.clip((cells.unshared * SHARE_BINS).astype(np.int64), 0, SHARE_BINS - 1)
    cells_in = np.bincount(place, minlength=SHARE_BINS)
    return {"from": 0.0, "step": 1 / SHARE_BINS, "cells": cells_in.tolist()}


def described(regions: Sequence[Region], mpp: float) -> list[dict[str, Any]]:
    """List the regions as the report names them: the tumour first, then by area."""
    ordered = sorted(regions, key=lambda each: (each.kind != RegionKind.TUMOUR, -each.area))
    return [
        {
            "id": each.id,
            "kind": str(each.kind),
            "name": each.name,
            "area_mm2": round(each.area * mpp * mpp / 1e6, 8),
        }
        for each in ordered
    ]


CODE = {
    "models": ("her2", "nuclei", "canonical.py", "openvino_library.py", "stain.py", "tissue.py"),
    "worker": ("her2",),
}
"""Packages with the folders and files in them that measure and decide."""


def code_files() -> Iterator[tuple[str, bytes]]:
    """Yield the modules that measure and decide, by their path, in order."""
    for package, names in CODE.items():
        for name in names:
            entry = files(package).joinpath(name)
            inside = entry.iterdir() if entry.is_dir() else [entry]
            for path in sorted(inside, key=lambda each: each.name):
                if path.name.endswith(".py") and path.is_file():
                    place = f"{name}/{path.name}" if entry.is_dir() else name
                    yield f"{package}/{place}", path.read_bytes()


@cache
def code_sha256() -> str:
    """Hash the code that measures and decides: what a version number may hide, this shows."""
    whole = hashlib.sha256()
    for path, content in code_files():
        whole.update(f"{path}\0{len(content)}\0".encode())
        whole.update(content)
    return whole.hexdigest()
