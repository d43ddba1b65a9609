"""Measure a slide tile by tile: bounded memory, and the same cells however it was cut.

A cell belongs to the tile that holds its nucleus' centroid. Every step looks less far than the
halo, so a tile of any size, and a box round a local edit, finds the same cells (tested).
"""

import math
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
        retained = before.take(~self.measured_anew(before.x, before.y))
        return Cells.join([retained, self.cells], before.mpp).in_order()

    def put_blurred_into(self, before: Double) -> Double:
        """Likewise the places of blurred cells, in the order of `Cells.in_order`."""
        retained = before[~self.measured_anew(before[:, 0], before[:, 1])]
        return in_order(np.concatenate([retained, self.blurred]))

    def measured_anew(self, x: Double, y: Double) -> npt.NDArray[np.bool_]:
        """Tell which places lie in the measured boxes: bool (n,)."""
        inside = np.zeros(len(x), np.bool_)
        for left, top, right, bottom in self.boxes:
            inside |= (x >= left) & (x < right) & (y >= top) & (y < bottom)
        return inside


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
    judge_focus: bool = True,
) -> Measured:
    """Measure the tumour cells of a slide.

    within: only what an edit in these level-0 boxes can change; `put_into` then gives the cells
    of a run from scratch. known: the survey of an earlier run of the same slide. judge_focus:
    look at blocks over the whole tumour, too; after a local edit never.
    """
    slide_survey = known or survey(slide, settings.vectors)
    densities = Densities(slide_survey.white, settings.vectors)
    work = TileWork(
        slide,
        masks,
        regions,
        settings,
        densities,
        detector or LogDetector(densities),
        slide_survey.focus,
    )
    scale = ANALYSIS_MPP / slide.mpp
    planned = _plan(slide, within)
    tumour = shapely.transform(regions.tumour, lambda places: places / scale)
    tiles = (tile for box in planned for tile in _tiles_in(box, tumour))
    boxes = [box for tile in tiles for box in _cover(tile, tile_px)]
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
    judged = within is None and judge_focus
    focus_blocks = focusing.blocks(slide, regions, slide_survey, {}) if judged else {}
    return Measured(
        whole,
        slide_survey,
        tuple(map(work.box0, planned)),
        in_order(np.concatenate(blurred)),
        focus_blocks,
    )


def in_order(places: Double) -> Double:
    """Sort places (n, 2) as `Cells.in_order` does."""
    return places[np.lexsort((places[:, 0], places[:, 1]))]


def _plan(slide: Pixels, within: Sequence[Box0] | None) -> list[Box]:
    """Disjoint boxes in analysis px: the whole slide, or all that edits can change."""
    width = scaled(slide.width, slide.mpp, ANALYSIS_MPP)
    height = scaled(slide.height, slide.mpp, ANALYSIS_MPP)
    if within is None:
        return [(0, 0, width, height)]
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
    return wide


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@dataclass(frozen=True)
class _Tile:
    """A box cut down to the tumour in it, both in analysis px."""

    box: Box
    tumour: shapely.Geometry

    @property
    def longest(self) -> int:
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    @property
    def read_px(self) -> int:
        """Pixels that are read for it."""
        left, top, right, bottom = self.box
        return (right - left + 2 * HALO_PX) * (bottom - top + 2 * HALO_PX)

    def parts(self, tile_px: int) -> list["_Tile"]:
        """Cut it in two across its longer side, where tiles of equal length meet."""
        left, top, right, bottom = self.box
        half = max(1, math.ceil(self.longest / tile_px) // 2)
        cut = self.longest * half // max(2, math.ceil(self.longest / tile_px)) // 2 * 2
        if right - left == self.longest:
            pair = (left, top, left + cut, bottom), (left + cut, top, right, bottom)
        else:
            pair = (left, top, right, top + cut), (left, top + cut, right, bottom)
        return [tile for box in pair for tile in _tiles_in(box, self.tumour)]


def _tiles_in(box: Box, tumour: shapely.Geometry) -> Iterator[_Tile]:
    """Cut a box down to the tumour; none where an outline only touches it."""
    inside = shapely.intersection(tumour, shapely.box(*box))
    if not inside.area > 0:
        return
    left, top, right, bottom = inside.bounds
    fitted = (
        max(box[0], int(left - 1) // 2 * 2),
        max(box[1], int(top - 1) // 2 * 2),
        min(box[2], int(right) // 2 * 2 + 2),
        min(box[3], int(bottom) // 2 * 2 + 2),
    )
    yield _Tile(fitted, inside)


def _cover(tile: _Tile, tile_px: int) -> Iterator[Box]:
    """Disjoint boxes that hold all tumour of a tile, none longer than `tile_px`.

    Halved further where that leaves less to read: what is added to a region is long, thin and
    seldom straight.
    """
    parts = tile.parts(tile_px)
    if tile.longest > tile_px or sum(part.read_px for part in parts) < tile.read_px:
        for part in parts:
            yield from _cover(part, tile_px)
    else:
        yield tile.box
