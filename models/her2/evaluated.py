"""How much of the marked tumour is tissue: the area that a score was counted on."""

import base64
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from models.her2.optical_density import density_of
from models.her2.pixels import Regions
from models.tissue import black_padding

Rgb = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

PALEST = 0.025
"""Mean log10 optical density of the palest tissue: about 14 grey levels below the glass, whose own
noise and JPEG blocks reach 0.01 when averaged so."""
CELL_UM = 8.0
"""Side of what is told apart, where the overview is as fine: a cell, no lumen of a duct."""
SMOOTHED_UM = 24.0
"""Over so much the density is averaged: glass between the cells of a tissue belongs to it."""
ACROSS = 1024
"""Points along the longer side of a region at which it is asked what lies there."""
SUBPIXEL = 4


@dataclass(frozen=True)
class Tissue:
    """Where a slide has tissue, at `mpp` µm per pixel: width × height bits, packed as text."""

    mpp: float
    width: int
    height: int
    packed: str

    @classmethod
    def of(cls, overview: Rgb, white: tuple[float, float, float], mpp: float) -> "Tissue":
        """Find it on an overview, RGB (H, W, 3), by density: a mask made for patches may leave pale
        tissue out beside strong, and all of a pale field. A scanner's black padding is none.
        """
        density = np.asarray(density_of(overview, white), np.float32)
        density[black_padding(overview)] = 0
        window = max(1, round(SMOOTHED_UM / mpp)) | 1
        mean = np.asarray(cv2.blur(density, (window, window)))
        coarser = max(1.0, CELL_UM / mpp)
        size = [max(1, round(n / coarser)) for n in (overview.shape[1], overview.shape[0])]
        small = np.asarray(cv2.resize(mean, size, interpolation=cv2.INTER_AREA))
        bits = np.packbits(small >= PALEST).tobytes()
        packed = base64.b64encode(zlib.compress(bits, 6)).decode()
        return cls(overview.shape[1] * mpp / size[0], size[0], size[1], packed)

    @classmethod
    def everywhere(cls) -> "Tissue":
        """Take all of a slide for tissue."""
        return cls(1.0, 1, 1, base64.b64encode(zlib.compress(b"\x80")).decode())

    @property
    def mask(self) -> Bool:
        bits = np.frombuffer(zlib.decompress(base64.b64decode(self.packed)), np.uint8)
        flat = np.unpackbits(bits, count=self.width * self.height)
        return np.asarray(flat.reshape(self.height, self.width) > 0)


def tissue_mm2(tissue: Tissue, regions: Regions, mpp: float) -> float:
    """Return the tissue in a slide's tumour, in mm²; mpp: µm per level-0 px.

    The tumour's exact area times the share of tissue among points spread over it.
    """
    if regions.empty:
        return 0.0
    left, top, right, bottom = regions.tumour.bounds
    step = max(right - left, bottom - top) / ACROSS
    size = max(1, round((right - left) / step)), max(1, round((bottom - top) / step))
    inside = np.zeros((size[1], size[0]), np.uint8)
    for polygon in polygons_of(regions.tumour):
        for ring, value in [(polygon.exterior, 1), *((hole, 0) for hole in polygon.interiors)]:
            corners = (shapely.get_coordinates(ring) - (left, top)) / step - 0.5
            whole = np.rint(corners * 2**SUBPIXEL).astype(np.int32)
            cv2.fillPoly(inside, [whole], value, shift=SUBPIXEL)
    mask = tissue.mask
    scale = mpp / tissue.mpp
    across = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    column, row = (
        np.clip(((corner + each * step) * scale).astype(np.intp), 0, most - 1)
        for corner, each, most in zip((left, top), across, mask.shape[::-1], strict=True)
    )
    here = mask[np.ix_(row, column)][inside > 0]
    share = float(here.mean()) if len(here) else 1.0
    return round(float(regions.tumour.area) * mpp**2 / 1e6 * share, 6)


def polygons_of(area: shapely.Geometry) -> list[shapely.Polygon]:
    """Return the polygons of an area, without the lines and points that cutting may leave."""
    parts = shapely.get_parts(shapely.get_parts(area))
    return [each for each in parts if isinstance(each, shapely.Polygon) and each.area > 0]
