"""The live score's measurement: what a change touches is measured anew, the rest is kept.

It equals a measurement from scratch to the last bit (tested). What is kept lies in blobs: the
cells in blocks of the slide, so that a local edit writes a few of them, and sums of the membrane.
Changes of the prediction, the pixel size, the stain vectors, the share that makes a membrane
complete, or of the survey that all densities stand on, touch every cell.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.patches.grid import patch_region
from backend.regions import geojson
from backend.scores.cells import CellIndex, Place
from backend.slides.tables import Slide
from backend.storage.blobs import Blobs
from models.her2 import connectivity, mask_doubt
from models.her2.cells import Cells
from models.her2.connectivity import Corner
from models.her2.flags import Flag
from models.her2.pixels import ANALYSIS_MPP
from models.her2.protocols import Protocol
from models.her2.quality import quality_flags
from models.her2.slide_score import canonical
from models.her2.tile import Box0, Settings
from models.her2.tiles import Measured, Progress, measure
from models.her2.white_point import Survey, survey
from worker.her2 import document
from worker.her2.measurement import Inputs, Measurement, Opened, put_cells
from worker.her2.slide import regions_of

Double = npt.NDArray[np.float64]
FREE_TO_CHANGE = ("masks", "regions", "decisions", "gap", "protocol", "calibration_sha256")
"""Inputs whose change does not touch every cell; a protocol's own numbers are looked at."""


@dataclass(frozen=True)
class Kept:
    """A measurement with what a later one of the same slide can go on from."""

    cells: Cells
    index: CellIndex
    survey: Survey
    blurred: Double
    pieces: connectivity.Blocks
    doubts: mask_doubt.Doubts
    basis: str
    damaged: bool

    @classmethod
    def read(cls, blobs: Blobs, files: Mapping[str, str]) -> "Kept":
        said = json.loads(blobs.read(files["state"]))
        index = CellIndex.read(blobs.read(files["cells"]))
        parts = [loaded(sha256, blobs.folder) for sha256, _ in index.blocks.values()]
        seen = dict(said["survey"])
        seen["white"] = tuple(seen["white"])
        seen["flags"] = tuple(Flag(**flag) for flag in seen["flags"])
        seen["focus"] = float("nan") if seen["focus"] is None else seen["focus"]
        return cls(
            cells=Cells.join(parts, index.mpp).in_order(),
            index=index,
            survey=Survey(**seen),
            blurred=np.array(said["blurred"], np.float64).reshape(-1, 2),
            pieces={(x, y): (here, long) for x, y, here, long in said["pieces"]},
            doubts={(x, y): (a, b, c) for x, y, a, b, c in said["doubts"]},
            basis=said["basis"],
            damaged=said["damaged"],
        )

    def state(self) -> bytes:
        seen = asdict(self.survey)
        seen["focus"] = None if np.isnan(self.survey.focus) else self.survey.focus
        return canonical(
            {
                "survey": seen,
                "blurred": self.blurred.tolist(),
                "pieces": [[*corner, *self.pieces[corner]] for corner in sorted(self.pieces)],
                "doubts": [[*corner, *self.doubts[corner]] for corner in sorted(self.doubts)],
                "basis": self.basis,
                "damaged": self.damaged,
            }
        )

    def measurement(self, on: Opened) -> Measurement:
        found = Measured(self.cells, self.survey, (), self.blurred)
        unsure = mask_doubt.share_of(self.doubts)
        flags = (*quality_flags(found, on.regions), *mask_doubt.flag_of(unsure))
        return Measurement(self.cells, flags, connectivity.share_of(self.pieces), self.damaged)


@lru_cache(64)
def loaded(sha256: str, folder: Path) -> Cells:
    """Read a block of cells; those of the slide that one works on stay in memory."""
    return Cells.load(Blobs(folder).path(sha256))


def measured(
    on: Opened,
    before: Kept | None,
    touched: Sequence[Box0],
    blobs: Blobs,
    *,
    threads: int,
    progress: Progress,
) -> Kept:
    """Measure what lies in the touched boxes (level-0 px), or the whole slide without `before`."""
    settings = document.settings_of(on.protocol)
    basis = basis_of(settings)
    seen = survey(on.pixels, on.regions, settings.vectors)
    if before is not None and (before.basis, repr(before.survey)) != (basis, repr(seen)):
        before = None
    if before is not None and not touched:
        return kept_as(before, before.cells.relabelled(on.protocol), None, blobs)
    found = measure(
        on.pixels,
        on.masks,
        regions=on.regions,
        settings=settings,
        detector=on.detector,
        within=None if before is None else touched,
        known=seen,
        workers=threads or None,
        progress=progress,
    )
    known = (
        Kept(
            found.cells,
            CellIndex(on.pixels.mpp, {}),
            seen,
            found.blurred,
            {},
            {},
            basis,
            damaged=False,
        )
        if before is None
        else before
    )
    fresh = replace(
        known,
        blurred=found.blurred if before is None else found.put_blurred_into(known.blurred),
        pieces=connectivity.long_pieces(
            on.pixels, on.masks, on.regions, outside(known.pieces, touched, on.pixels.mpp)
        ),
        doubts=mask_doubt.doubts(
            on.pixels, on.masks, on.regions, outside(known.doubts, touched, on.pixels.mpp)
        ),
        damaged=known.damaged or on.pixels.damaged > 0,
    )
    if before is None:
        return kept_as(fresh, found.cells, None, blobs)
    cells = found.put_into(before.cells.relabelled(on.protocol))
    same = np.array_equal(before.cells.label, before.cells.relabelled(on.protocol).label)
    return kept_as(fresh, cells, found.boxes if same else None, blobs)


def basis_of(settings: Settings) -> str:
    """Name what every cell's measures depend on beside pixels and masks."""
    return repr((settings.vectors, settings.contrast, settings.cutoffs.c_full))


def outside(blocks: Mapping[Corner, Any], touched: Iterable[Box0], mpp: float) -> dict[Corner, Any]:
    """Return the blocks that no touched box meets."""
    scale = mpp / ANALYSIS_MPP
    boxes = [tuple(edge * scale for edge in box) for box in touched]
    side = connectivity.BLOCK_PX
    return {
        (left, top): value
        for (left, top), value in blocks.items()
        if not any(
            a < left + side and c > left and b < top + side and d > top for a, b, c, d in boxes
        )
    }


def kept_as(kept: Kept, cells: Cells, boxes: Sequence[Box0] | None, blobs: Blobs) -> Kept:
    """Store the cells by block; without boxes all of them, else those that the boxes meet."""
    index = CellIndex(cells.mpp, {})
    side = index.side
    rows = np.floor_divide(cells.y, side).astype(np.int64)
    columns = np.floor_divide(cells.x, side).astype(np.int64)
    if boxes is None:
        blocks: dict[Place, tuple[str, int]] = {}
        stale = set(zip(rows.tolist(), columns.tolist(), strict=True))
    else:
        stale = {
            (row, column)
            for left, top, right, bottom in boxes
            for row in range(int(top // side), int(bottom // side) + 1)
            for column in range(int(left // side), int(right // side) + 1)
        }
        blocks = {place: there for place, there in kept.index.blocks.items() if place not in stale}
    for row, column in sorted(stale):
        part = cells.take((rows == row) & (columns == column))
        if len(part):
            blocks[row, column] = put_cells(blobs, part), len(part)
    return replace(kept, cells=cells, index=CellIndex(cells.mpp, blocks))


def touched_by(
    before: Inputs, now: Inputs, slide: Slide, blobs: Blobs, on: Opened
) -> list[Box0] | None:
    """Return the level-0 boxes that differ between two scores' inputs; None: everything."""
    names = {*before, *now} - set(FREE_TO_CHANGE)
    if any(before.get(name) != now.get(name) for name in names):
        return None
    return [
        *masks_that_differ(before, now, slide, blobs),
        *regions_that_differ(before, on, blobs),
    ]


def masks_that_differ(before: Inputs, now: Inputs, slide: Slide, blobs: Blobs) -> Iterable[Box0]:
    old, new = (
        {(row, column): sha256 for row, column, sha256 in json.loads(blobs.read(sha))}
        for sha in (before["masks"]["sha256"], now["masks"]["sha256"])
    )
    for row, column in sorted({*old, *new}):
        if old.get((row, column)) != new.get((row, column)):
            box = patch_region(slide, row, column, now["analysis_mpp"])
            yield box.x, box.y, box.x + box.width, box.y + box.height


def regions_that_differ(before: Inputs, on: Opened, blobs: Blobs) -> Iterable[Box0]:
    old = regions_of(geojson.from_document(blobs.read(before["regions"]["sha256"])))
    differing = old.tumour.symmetric_difference(on.regions.tumour)
    for part in getattr(differing, "geoms", [differing]):
        if not part.is_empty:
            left, top, right, bottom = part.bounds
            yield left, top, right, bottom


def with_thresholds(protocol: Protocol, thresholds: Mapping[str, float] | None) -> Protocol:
    """Return a protocol with a what-if's thresholds."""
    changed: Any = thresholds or {}
    return replace(protocol, **changed)
