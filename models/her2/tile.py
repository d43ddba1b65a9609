"""One tile of a slide: from its pixels and its membrane mask to its cells.

The steps of her2.md §3 in their order; everything they look at lies within the halo.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.her2 import cells as columns
from models.her2.cells import VERTICES, Cells, Cutoffs, classify
from models.her2.focus import BLURRED
from models.her2.nuclei import NUCLEI_MPP, Detector, View, measure_nuclei
from models.her2.optical_density import STEP, Densities
from models.her2.pixels import ANALYSIS_MPP, Masks, Pixels, Regions
from models.her2.rays import MASK, RAYS, REVIEWED, Planes, Profiles, directions, ground_of, trace
from models.her2.sharing import Contours, contours, with_neighbours
from models.her2.territory import fill_holes, territories
from models.her2.white_point import BLOCK_PX, FOCUS_MPP, focus_of
from models.stain import StainVectors

Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]
Rgb = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""left, top, right, bottom"""
Box0 = tuple[float, float, float, float]

HALO_PX = 256
"""64 µm: two neighbours of neighbours, and what a nucleus is judged by."""
MARGIN_PX = 192
"""Cells up to so far outside a tile can be traced for the sharing rule, at 0.25 µm."""
LEAST_CELL_UM2, MOST_CELL_UM2 = 20.0, 200.0
LEAST_NUCLEUS_UM2 = 8.0
LONGEST = 3.0
BROWNER = 0.1
LEAST_REACH = 2
"""Steps (0.5 µm) that an outline has at least: rays from a centroid off its own nucleus see none of
it, and a polygon of one point is none."""


@dataclass(frozen=True)
class Settings:
    """How to measure: cut-offs, stain vectors, the least contrast of a hit to the cytoplasm."""

    cutoffs: Cutoffs
    vectors: StainVectors
    contrast: float = 0.05


@dataclass(frozen=True)
class TileWork:
    """One slide's measuring, tile by tile; called from several threads."""

    slide: Pixels
    masks: Masks
    regions: Regions
    settings: Settings
    densities: Densities
    detector: Detector
    focus: float

    def box0(self, box: Box) -> Box0:
        """Level-0 px of a box in analysis px."""
        scale = ANALYSIS_MPP / self.slide.mpp
        left, top, right, bottom = box
        return left * scale, top * scale, right * scale, bottom * scale

    def tile(self, box: Box) -> tuple[Cells, Double]:
        """Cells whose centroid lies in the box, and places (n, 2) of more in blurred blocks."""
        left, top, right, bottom = box
        x, y = left - HALO_PX, top - HALO_PX
        # even sides: two pixels of the analysis are one of the nuclei
        width = (right - left + 1) // 2 * 2 + 2 * HALO_PX
        height = (bottom - top + 1) // 2 * 2 + 2 * HALO_PX
        image = self.slide.read(x, y, width, height, ANALYSIS_MPP)
        membrane, reviewed = self.masks.read(x, y, width, height)
        small = np.asarray(
            cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8
        )
        # of 2 × 2 pixels any: two beside each other are read as one number
        coarse = (membrane[::2] | membrane[1::2]).view(np.uint16) > 0
        labels = self.detector(View(self.slide, y // 2, x // 2, small))
        filled = fill_holes(labels, coarse, NUCLEI_MPP)
        brown = self.densities.dab(small)
        nuclei = measure_nuclei(filled.labels, brown, NUCLEI_MPP, (y // 2, x // 2))
        # places on the slide in analysis px: 0 is a pixel's edge, not its middle
        rows, cols = nuclei.row * 2 + 1, nuclei.col * 2 + 1
        near = (rows >= top - MARGIN_PX) & (rows < bottom + MARGIN_PX)
        near &= (cols >= left - MARGIN_PX) & (cols < right + MARGIN_PX)
        near &= nuclei.area_um2 >= LEAST_NUCLEUS_UM2
        nuclei, rows, cols = nuclei.take(near), rows[near], cols[near]
        # what lies in the box, in the tumour, and is a tumour cell
        keep = (rows >= top) & (rows < bottom) & (cols >= left) & (cols < right)
        added = np.isin(nuclei.number, filled.added)
        keep &= (added | (nuclei.area_um2 >= LEAST_CELL_UM2)) & (nuclei.area_um2 <= MOST_CELL_UM2)
        keep &= nuclei.elongation <= LONGEST
        scale = ANALYSIS_MPP / self.slide.mpp
        x0, y0 = cols * scale, rows * scale
        keep &= self.regions.holds(x0, y0)
        sharp = self._sharp(small, (y, x), rows, cols, keep)
        lost = np.stack([x0, y0], axis=1)[keep & ~sharp]
        keep &= sharp
        code = membrane.view(np.uint8) * np.uint8(MASK)
        if reviewed.any():
            code |= reviewed.view(np.uint8) * np.uint8(REVIEWED)
        ground = ground_of(territories(filled.labels, NUCLEI_MPP), filled.labels)
        planes = Planes(ground, code, image, self.densities)
        middle_rows = np.rint(rows - 0.5).astype(np.intp) - y
        middle_cols = np.rint(cols - 0.5).astype(np.intp) - x

        def traced(which: Index) -> Profiles:
            middle = middle_rows[which], middle_cols[which]
            return trace(planes, *middle, nuclei.number[which], self.settings.contrast)

        which, profiles = with_neighbours(np.flatnonzero(keep), nuclei.number, traced)
        count = int(keep.sum())
        measured = contours(profiles, nuclei.number[which], self.settings.cutoffs.c_full, count)
        every = _columns(
            profiles.first(count),
            measured,
            x0[keep],
            y0[keep],
            scale,
            (self.slide.width, self.slide.height),
            nuclei.area_um2[keep],
            nuclei.dab[keep],
            added[keep],
            self.settings,
        )
        return Cells(mpp=self.slide.mpp, **every), lost

    def _sharp(
        self, small: Rgb, corner: tuple[int, int], rows: Double, cols: Double, keep: Bool
    ) -> Bool:
        """Tell which places, in analysis px of the slide, lie in blocks in focus: bool (n,).

        Blocks lie on the slide's own grid, not the tile's; `corner` is the tile's (row, col).
        """
        out = np.ones(len(rows), np.bool_)
        if np.isnan(self.focus):
            return out
        side = round(BLOCK_PX * FOCUS_MPP / ANALYSIS_MPP)
        blocks = np.stack([rows // side, cols // side], axis=1).astype(np.int64)
        for row, col in np.unique(blocks[keep], axis=0):
            top, left = (int(row) * side - corner[0]) // 2, (int(col) * side - corner[1]) // 2
            focus = focus_of(small[top : top + BLOCK_PX, left : left + BLOCK_PX])
            if focus < BLURRED * self.focus:
                out &= ~((blocks[:, 0] == row) & (blocks[:, 1] == col))
        return out


def _columns(
    profiles: Profiles,
    measured: Contours,
    x0: Double,
    y0: Double,
    scale: float,
    size: tuple[int, int],
    area_um2: Double,
    dab: Double,
    added: Bool,
    settings: Settings,
) -> dict[str, Any]:
    """Columns of Cells, without `mpp`, of everything traced.

    scale: level-0 px a step. size: the slide's width and height, level-0 px.
    """
    hit = profiles.hit
    inside = profiles.inside
    cytoplasm = np.where(inside == 255, 0, inside).astype(np.float32) * np.float32(STEP)
    arc = profiles.at * np.float32(ANALYSIS_MPP * 2 * np.pi / RAYS)
    flags = np.where(added, columns.EXTRA_SEED, 0)
    flags |= np.where(measured.shared, columns.SHARED, 0)
    flags |= np.where(measured.enclosed, columns.ENCLOSED, 0)
    brown = dab > cytoplasm + BROWNER
    flags |= np.where(brown & ~added, columns.BROWN_NUCLEUS, 0)
    many = np.maximum(hit.sum(axis=1), 1)
    width = (profiles.width * hit).sum(axis=1) / many * ANALYSIS_MPP

    def outline(reach: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        return _outline(reach[:, :: RAYS // VERTICES] * scale, x0, y0, LEAST_REACH * scale, size)

    return {
        "x": x0,
        "y": y0,
        "area_um2": area_um2.astype(np.float32),
        "completeness": measured.completeness,
        "unshared": measured.unshared,
        "intensity": measured.intensity,
        "cytoplasm": cytoplasm,
        "width_um": width.astype(np.float32),
        "gap_degrees": measured.gap_degrees,
        "contour_um": arc.sum(axis=1).astype(np.float32),
        "stained_um": (arc * hit).sum(axis=1).astype(np.float32),
        "reviewed_um": (arc * profiles.reviewed).sum(axis=1).astype(np.float32),
        "label": classify(measured.unshared, measured.intensity, settings.cutoffs),
        "flags": flags.astype(np.uint16),
        "nucleus": outline(profiles.nucleus),
        "membrane": outline(profiles.at),
    }


def _outline(
    reach: npt.NDArray[np.floating], x: Double, y: Double, least: float, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Corners (n, VERTICES, 2) `reach` px (n, VERTICES) from x, y (n,), in the slide of `size`.

    Each lies on its own ray, between `least` px and the slide's edge: a simple polygon.
    """
    down, right = (each[:: RAYS // VERTICES].astype(np.float64) for each in directions())
    far = np.maximum(reach, least)
    for centre, along, end in ((x, right, size[0]), (y, down, size[1])):
        to_edge = np.where(along > 0, end - centre[:, None], centre[:, None])
        far = np.minimum(far, to_edge / np.maximum(np.abs(along), 1e-9))
    corners = np.stack([x[:, None] + far * right, y[:, None] + far * down], axis=-1)
    # what is left of the arithmetic beyond an edge
    return corners.clip(0, size).astype(np.float32)
