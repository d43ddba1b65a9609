"""Measure a slide tile by tile: bounded memory, and the same cells however it was cut.

A cell belongs to the tile that holds its nucleus' centroid. Every step looks less far than the
halo, so a tile of any size, and a box round a local edit, finds the same cells (tested).
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from models.her2 import focus as focusing
from models.her2.blocks import Corner
from models.her2.cells import Cells
from models.her2.nuclei import Detector, LogDetector
from models.her2.optical_density import Densities
from models.her2.pixels import ANALYSIS_MPP, Masks, Pixels, Regions, scaled
from models.her2.tile import HALO_PX, Box, Box0, Settings, TileWork
from models.her2.white_point import Survey, survey

Progress = Callable[[int, int], None]
Double = npt.NDArray[np.float64]
TILE_PX = 3072


@dataclass(frozen=True)
class Measured:
    """Cells of the measured boxes (level-0 px), the survey they stand on, and what was left out.

    `blurred`: places (n, 2), level-0 px, of the cells in blocks out of focus, which are not in
    `cells`. `focus`: what blocks over the whole tumour show; none after a local edit.
    """

    cells: Cells
    survey: Survey
    boxes: tuple[Box0, ...]
    blurred: Double
    focus: Mapping[Corner, focusing.Seen] = field(default_factory=dict)

    def put_into(self, before: Cells) -> Cells:
        """Replace the cells of the measured boxes in an earlier measurement of the slide."""
        kept = before.take(~self.measured_anew(before.x, before.y))
        return Cells.join([kept, self.cells], before.mpp).in_order()

    def put_blurred_into(self, before: Double) -> Double:
        """Likewise the places of blurred cells, in the order of `Cells.in_order`."""
        kept = before[~self.measured_anew(before[:, 0], before[:, 1])]
        return in_order(np.concatenate([kept, self.blurred]))

    def measured_anew(self, x: Double, y: Double) -> npt.NDArray[np.bool_]:
        """Tell which places lie in the measured boxes: bool (n,)."""
        found = np.zeros(len(x), np.bool_)
        for left, top, right, bottom in self.boxes:
            found |= (x >= left) & (x < right) & (y >= top) & (y < bottom)
        return found


def measure(
    slide: Pixels,
    masks: Masks,
    *,
    regions: Regions,
    settings: Settings,
    detector: Detector | None = None,
    within: Sequence[Box0] | None = None,
    known: Survey | None = None,
    tile_px: int = TILE_PX,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Measured:
    """Measure the tumour cells of a slide.

    within: only what an edit in these level-0 boxes can change; `put_into` then gives the cells
    of a run from scratch. known: the survey of an earlier run of the same slide.
    """
    found = known or survey(slide, settings.vectors)
    densities = Densities(found.white, settings.vectors)
    work = TileWork(
        slide, masks, regions, settings, densities, detector or LogDetector(densities), found.focus
    )
    scale = ANALYSIS_MPP / slide.mpp
    boxes = list(_trimmed(_plan(slide, within, tile_px), regions, scale))
    parts: list[Cells] = []
    blurred = [np.zeros((0, 2))]
    threads = workers or min(len(boxes) or 1, os.cpu_count() or 1)
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # tiles run side by side already
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="her2") as pool:
            for done, (part, lost) in enumerate(pool.map(work.tile, boxes), start=1):
                parts.append(part)
                blurred.append(lost)
                if progress is not None:
                    progress(done, len(boxes))
    finally:
        cv2.setNumThreads(before)
    whole = Cells.join(parts, slide.mpp).in_order()
    planned = tuple(work.box0(box) for box in _plan(slide, within, tile_px))
    seen = focusing.blocks(slide, regions, found, {}) if within is None else {}
    return Measured(whole, found, planned, in_order(np.concatenate(blurred)), seen)


def in_order(places: Double) -> Double:
    """Sort places (n, 2) as `Cells.in_order` does."""
    return places[np.lexsort((places[:, 0], places[:, 1]))]


def _plan(slide: Pixels, within: Sequence[Box0] | None, tile_px: int) -> list[Box]:
    """Disjoint boxes in analysis px that cover the slide, or all that edits can change."""
    width = scaled(slide.width, slide.mpp, ANALYSIS_MPP)
    height = scaled(slide.height, slide.mpp, ANALYSIS_MPP)
    if within is None:
        return list(_split((0, 0, width, height), tile_px))
    scale = slide.mpp / ANALYSIS_MPP
    wide: list[Box] = []
    for left, top, right, bottom in within:
        box = (
            max(0, int(left * scale) - HALO_PX) // 2 * 2,
            max(0, int(top * scale) - HALO_PX) // 2 * 2,
            min(width, (int(right * scale) + HALO_PX + 2) // 2 * 2),
            min(height, (int(bottom * scale) + HALO_PX + 2) // 2 * 2),
        )
        while any(_meet(box, other) for other in wide):
            met = [other for other in wide if _meet(box, other)]
            wide = [other for other in wide if other not in met]
            lefts, tops, rights, bottoms = zip(box, *met, strict=True)
            box = min(lefts), min(tops), max(rights), max(bottoms)
        wide.append(box)
    return [part for box in wide for part in _split(box, tile_px)]


def _trimmed(boxes: Sequence[Box], regions: Regions, scale: float) -> Iterator[Box]:
    """Cut boxes down to the tumour in them: an edit of a region may be long and thin."""
    for left, top, right, bottom in boxes:
        box0 = left * scale, top * scale, right * scale, bottom * scale
        if not regions.touches(box0):
            continue
        inside = shapely.intersection(regions.tumour, shapely.box(*box0))
        if not inside.area > 0:
            continue  # its outline only touches the box
        bounds = inside.bounds
        first, last = (np.array(each) / scale for each in (bounds[:2], bounds[2:]))
        yield (
            max(left, int(first[0] - 1) // 2 * 2),
            max(top, int(first[1] - 1) // 2 * 2),
            min(right, int(last[0]) // 2 * 2 + 2),
            min(bottom, int(last[1]) // 2 * 2 + 2),
        )


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _split(box: Box, tile_px: int) -> Iterator[Box]:
    left, top, right, bottom = box
    for y in range(top, bottom, tile_px):
        for x in range(left, right, tile_px):
            yield x, y, min(x + tile_px, right), min(y + tile_px, bottom)
