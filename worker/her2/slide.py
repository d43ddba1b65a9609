"""A slide, its masks and its regions as models.her2 wants to read them.

Membrane is a person's mask where there is an accepted one (its "ignore" pixels left out), else the
model version's prediction. Both lie on the installation's analysis grid.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from backend.her2.regions.geojson import Region
from backend.her2.regions.tables import RegionKind
from backend.kit.geometry import Region0
from backend.kit.storage.blobs import Blobs
from backend.kit.storage.pyramids import Channel, Pyramid
from backend.slides.catalogue.overview import read_over_gaps
from backend.slides.patches.grid import PATCH_PX, Measured, measures, scale
from backend.slides.reading.reader import RegionUnreadable, SlideReader
from models.her2.pixels import ANALYSIS_MPP, Pixels, Regions
from worker.data import read_mask

log = logging.getLogger(__name__)
Bool = npt.NDArray[np.bool_]
Rgb = npt.NDArray[np.uint8]
Likely = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""x, y, width, height"""
HALF = 128
"""Of a stored probability, 0-255: membrane from here on."""
IGNORE, MEMBRANE = 127, 255
KEPT_MASKS = 512


class SlidePixels:
    """A ready slide's pixels; what the file has damaged reads as glass and is counted."""

    def __init__(self, reader: SlideReader, slide: Measured) -> None:
        self.width, self.height, mpp = measures(slide)
        # the grid of patches takes a pixel size that is nearly the analysis' for that very size
        self.mpp = ANALYSIS_MPP / scale(mpp, ANALYSIS_MPP)
        self.damaged = 0
        self._reader = reader

    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> Rgb:
        """See models.her2.pixels.Pixels."""
        region = Region0(x, y, width, height).scaled(mpp / self.mpp)
        try:
            return self._reader.read(region, (width, height))
        except RegionUnreadable:
            self.damaged += 1
            return read_over_gaps(self._reader, region, (width, height))[0]


class SlideMasks:
    """Membrane masks of a slide: people's by (row, column) of the grid, over a prediction."""

    def __init__(
        self,
        pyramid: Pyramid | None,
        drawn: Mapping[tuple[int, int], str],
        blobs: Blobs,
        analysis_mpp: float,
    ) -> None:
        self._pyramid = pyramid
        self._drawn = drawn
        self._blobs = blobs
        self._analysis_mpp = analysis_mpp
        self._step = ANALYSIS_MPP / analysis_mpp
        self._read = lru_cache(KEPT_MASKS)(lambda sha256: read_mask(blobs, sha256))

    def proposed(self) -> "SlideMasks":
        """Return what the model alone says, as if nobody had drawn."""
        return SlideMasks(self._pyramid, {}, self._blobs, self._analysis_mpp)

    def read(self, x: int, y: int, width: int, height: int) -> tuple[Bool, Bool]:
        """See models.her2.pixels.Masks."""
        if self._step == 1.0:
            return self._on_grid(x, y, width, height)
        box, nearest = self._grid_box(x, y, width, height)
        membrane, reviewed = (plane[nearest] for plane in self._on_grid(*box))
        return membrane, reviewed

    def probability(self, x: int, y: int, width: int, height: int) -> Likely | None:
        """See models.her2.mask_doubt.LikelyMasks."""
        if self._pyramid is None:
            return None
        if self._step == 1.0:
            return self._predicted(self._pyramid, x, y, width, height)
        box, nearest = self._grid_box(x, y, width, height)
        return np.asarray(self._predicted(self._pyramid, *box)[nearest], np.uint8)

    def _grid_box(self, x: int, y: int, width: int, height: int) -> tuple[Box, Any]:
        """Return the box on the stored grid round one of analysis px, and each px's place in it."""
        left, top = math.floor(x * self._step), math.floor(y * self._step)
        right, bottom = math.ceil((x + width) * self._step), math.ceil((y + height) * self._step)
        columns = ((np.arange(x, x + width) + 0.5) * self._step).astype(np.intp) - left
        rows = ((np.arange(y, y + height) + 0.5) * self._step).astype(np.intp) - top
        return (left, top, right - left, bottom - top), np.ix_(rows, columns)

    @staticmethod
    def _predicted(pyramid: Pyramid, x: int, y: int, width: int, height: int) -> Likely:
        stored = pyramid.read(0, x, y, (width, height), [Channel.PROBABILITY])
        return np.asarray(stored[0], np.uint8)

    def _on_grid(self, x: int, y: int, width: int, height: int) -> tuple[Bool, Bool]:
        membrane = np.zeros((height, width), np.bool_)
        if self._pyramid is not None:
            membrane = self._predicted(self._pyramid, x, y, width, height) >= HALF
        reviewed = np.zeros((height, width), np.bool_)
        for row in range(max(0, y // PATCH_PX), (y + height - 1) // PATCH_PX + 1):
            for column in range(max(0, x // PATCH_PX), (x + width - 1) // PATCH_PX + 1):
                if sha256 := self._drawn.get((row, column)):
                    at = row * PATCH_PX - y, column * PATCH_PX - x
                    lay_over(membrane, reviewed, self._read(sha256), *at)
        return membrane, reviewed


def lay_over(membrane: Bool, reviewed: Bool, mask: Rgb, top: int, left: int) -> None:
    """Put a person's mask (256, 256), whose corner lies at (top, left), over a box in place."""
    height, width = membrane.shape
    bottom, right = min(top + PATCH_PX, height), min(left + PATCH_PX, width)
    here = np.s_[max(top, 0) : bottom, max(left, 0) : right]
    part = mask[max(-top, 0) : bottom - top, max(-left, 0) : right - left]
    known = part != IGNORE
    membrane[here] = np.where(known, part == MEMBRANE, membrane[here])
    reviewed[here] |= known


def regions_of(regions: Sequence[Region], slide: Pixels) -> Regions:
    """Return a slide's tumour less what is excluded and its rim; empty if nobody drew a tumour."""
    tumour = [shape_of(each) for each in regions if each.kind == RegionKind.TUMOUR]
    rest = [shape_of(each) for each in regions if each.kind != RegionKind.TUMOUR]
    return Regions.of(tumour, rest, slide=slide)


def shape_of(region: Region) -> shapely.MultiPolygon:
    return shapely.MultiPolygon([(rings[0], rings[1:]) for rings in region.polygons])


def jpeg(image: Rgb, quality: int = 88) -> bytes:
    """Encode RGB (H, W, 3); equal pixels give equal bytes with one version of the library."""
    options: Any = [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError("the picture could not be encoded")
    return content.tobytes()
