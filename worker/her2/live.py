"""The live score's measurement: what a change touches is measured anew, the rest is kept.

It equals a measurement from scratch to the last bit (tested). What is kept lies in blobs
(worker.her2.checkpoint). A change of masks measures what it can reach, one of the tumour what was
added; thresholds and decisions measure nothing. Changes of the prediction, the pixel size, the
stain vectors, the nucleus detector, the share that makes a membrane complete, or of the code,
touch every cell.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from backend.her2.regions import geojson
from backend.kit.storage.blobs import Blobs
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.grid import patch_region
from models.her2 import connectivity, focus, mask_doubt
from models.her2.blocks import Corner
from models.her2.cells import Cells
from models.her2.pixels import ANALYSIS_MPP, Regions
from models.her2.protocols import Protocol
from models.her2.tile import Box0
from models.her2.tiles import TILE_PX, Measured, Progress, in_order, measure
from worker.her2 import document
from worker.her2.checkpoint import Checkpoint, store
from worker.her2.measurement import Inputs, Opened
from worker.her2.slide import regions_of

Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
FREE_TO_CHANGE = (
    *("masks", "regions", "decisions", "gap", "merge_zero_plus", "protocol"),
    "calibration_sha256",
)
"""Inputs whose change does not touch every cell; a protocol's own numbers are looked at."""
SMALL_UM2 = 4e6
"""Added tumour up to here, 4 mm², is measured in small tiles: an edit is long and thin."""
SMALL_TILE_PX = 2048
RIM0 = 2.0
"""Level-0 px round added tumour within which no old cell is trusted, against rounding."""


@dataclass(frozen=True)
class Changes:
    """What differs between two scores' inputs: level-0 boxes of masks; the tumour of before."""

    masks: Sequence[Box0] = ()
    tumour: Regions | None = None

    def area(self, now: Regions) -> Any:
        """Return all that differs, as one geometry in level-0 px."""
        parts = [shapely.box(*box) for box in self.masks]
        if self.tumour is not None:
            parts.append(self.tumour.tumour.symmetric_difference(now.tumour))
        return shapely.union_all(parts)


def basis_of(on: Opened) -> str:
    """Name what every cell's measures depend on beside pixels, masks and tumour."""
    settings = document.settings_of(on.protocol)
    measuring = (settings.vectors, settings.contrast, settings.cutoffs.c_full)
    return f"{measuring!r} {document.code_sha256()}"


def measured(
    on: Opened,
    before: Checkpoint | None,
    changes: Changes,
    blobs: Blobs,
    *,
    threads: int,
    progress: Progress,
) -> Checkpoint:
    """Measure what has changed, or the whole slide without `before`; store what is to be kept."""
    if before is None:
        whole = measured_in(on, on.regions, None, threads=threads, progress=progress)
        fresh = Checkpoint(
            cells=whole.cells,
            survey=whole.survey,
            blurred=whole.blurred,
            focus=whole.focus,
            pieces=connectivity.long_pieces(on.pixels, on.masks, on.regions, {}),
            doubts=mask_doubt.doubts(on.pixels, on.masks, on.regions, {}),
            basis=basis_of(on),
            damaged=on.pixels.damaged > 0,
        )
        return store(fresh, None, blobs)
    now = replace(before, cells=before.cells.relabelled(on.protocol))
    if changes.tumour is not None:
        now = in_other_regions(on, now, changes.tumour, threads=threads, progress=progress)
    edited = shapely.union_all([shapely.box(*box) for box in changes.masks])
    written = changes.area(on.regions)
    if changes.masks:
        part = measured_in(
            on, on.regions, now, within=changes.masks, threads=threads, progress=progress
        )
        now = replace(
            now, cells=part.put_into(now.cells), blurred=part.put_blurred_into(now.blurred)
        )
        written = shapely.union_all([written, *(shapely.box(*box) for box in part.boxes)])
    if not written.is_empty:
        mpp, changed = on.pixels.mpp, changes.area(on.regions)
        known = outside(now.pieces, edited, mpp), outside(now.doubts, changed, mpp)
        now = replace(
            now,
            focus=focus.blocks(on.pixels, on.regions, now.survey, now.focus),
            pieces=connectivity.long_pieces(on.pixels, on.masks, on.regions, known[0]),
            doubts=mask_doubt.doubts(on.pixels, on.masks, on.regions, known[1]),
            damaged=now.damaged or on.pixels.damaged > 0,
        )
    return store(now, written, blobs)


def measured_in(
    on: Opened,
    regions: Regions,
    known: Checkpoint | None,
    *,
    threads: int,
    progress: Progress,
    **more: Any,
) -> Measured:
    return measure(
        on.pixels,
        on.masks,
        regions=regions,
        settings=document.settings_of(on.protocol),
        detector=on.detector,
        known=None if known is None else known.survey,
        workers=threads or None,
        progress=progress,
        **more,
    )


def in_other_regions(
    on: Opened, before: Checkpoint, tumour: Regions, *, threads: int, progress: Progress
) -> Checkpoint:
    """Measure where there is tumour that was none; leave out cells where there is none now.

    A cell's measures know nothing of the tumour's outline, so all others stay as they are.
    """
    added = on.regions.tumour.difference(tumour.tumour)
    zone = added.buffer(RIM0) if not added.is_empty else added
    shapely.prepare(zone)

    def stays(x: Double, y: Double, *, anew: bool) -> Bool:
        fresh = np.asarray(shapely.intersects_xy(zone, x, y), np.bool_)
        return on.regions.holds(x, y) & (fresh if anew else ~fresh)

    def merged(old: Double, new: Double) -> Double:
        stayed = old[stays(old[:, 0], old[:, 1], anew=False)]
        return in_order(np.concatenate([stayed, new[stays(new[:, 0], new[:, 1], anew=True)]]))

    old = before.cells.take(stays(before.cells.x, before.cells.y, anew=False))
    if zone.is_empty:
        nothing = np.zeros((0, 2))
        return replace(before, cells=old, blurred=merged(before.blurred, nothing))
    small = added.area * on.pixels.mpp**2 < SMALL_UM2
    part = measured_in(
        on,
        Regions.of([zone.buffer(RIM0)]),
        before,
        threads=threads,
        progress=progress,
        tile_px=SMALL_TILE_PX if small else TILE_PX,
        judge_focus=False,
    )
    new = part.cells.take(stays(part.cells.x, part.cells.y, anew=True))
    cells = Cells.join([old, new], on.pixels.mpp).in_order()
    return replace(before, cells=cells, blurred=merged(before.blurred, part.blurred))


def outside(blocks: Mapping[Corner, Any], area: Any, mpp: float) -> dict[Corner, Any]:
    """Return the blocks that an area in level-0 px does not meet."""
    if not blocks or area.is_empty:
        return dict(blocks)
    side = connectivity.BLOCK_PX
    left, top = np.asarray(list(blocks), np.float64).T
    scale = ANALYSIS_MPP / mpp
    boxes = shapely.box(left * scale, top * scale, (left + side) * scale, (top + side) * scale)
    shapely.prepare(area)
    apart = ~shapely.intersects(area, boxes)
    return {
        corner: value for (corner, value), keep in zip(blocks.items(), apart, strict=True) if keep
    }


def changes_between(
    before: Inputs, now: Inputs, slide: Slide, blobs: Blobs, on: Opened
) -> Changes | None:
    """Return what differs between two scores' inputs; None: everything."""
    names = {*before, *now} - set(FREE_TO_CHANGE)
    if any(before.get(name) != now.get(name) for name in names):
        return None
    masks = list(masks_that_differ(before, now, slide, blobs))
    if before["regions"]["sha256"] == now["regions"]["sha256"]:
        return Changes(masks)
    regions_before = geojson.from_document(blobs.read(before["regions"]["sha256"]))
    return Changes(masks, regions_of(regions_before, on.pixels))


def masks_that_differ(before: Inputs, now: Inputs, slide: Slide, blobs: Blobs) -> Iterable[Box0]:
    if before["masks"]["sha256"] == now["masks"]["sha256"]:
        return
    old, new = (
        {(row, column): sha256 for row, column, sha256 in json.loads(blobs.read(sha))}
        for sha in (before["masks"]["sha256"], now["masks"]["sha256"])
    )
    for row, column in sorted({*old, *new}):
        if old.get((row, column)) != new.get((row, column)):
            box = patch_region(slide, row, column, now["analysis_mpp"])
            yield box.x, box.y, box.x + box.width, box.y + box.height


def with_thresholds(protocol: Protocol, thresholds: Mapping[str, float] | None) -> Protocol:
    """Return a protocol with a what-if's thresholds."""
    changed: Any = thresholds or {}
    return replace(protocol, **changed)
