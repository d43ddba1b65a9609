"""What measuring needs of a slide: pixels, membrane masks and regions, wherever they come from.

All boxes are in pixels of a picture at the asked µm per pixel whose origin is the slide's corner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import shapely

Rgb = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

ANALYSIS_MPP = 0.25
"""Working resolution: thin membranes need it, and thresholds live on it (her2.md finding 7)."""

RIM_UM = 8.0
"""A cell nearer to a picture's edge has no whole contour: it would be counted as incomplete."""


class Pixels(Protocol):
    """A slide's pixels. `width` and `height` are in level-0 px, `mpp` µm per level-0 px."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def mpp(self) -> float: ...
    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> Rgb:
        """Return a box of the slide drawn at `mpp`: RGB uint8 (H, W, 3), white outside."""
        ...


class Masks(Protocol):
    """Membrane masks at ANALYSIS_MPP."""

    def read(self, x: int, y: int, width: int, height: int) -> tuple[Bool, Bool]:
        """Return a box of the membrane, and where a person said so, bool (H, W) each."""
        ...


@dataclass(frozen=True)
class Regions:
    """The invasive tumour, less what is excluded: polygons in level-0 px."""

    tumour: shapely.Geometry

    @classmethod
    def of(
        cls,
        tumour: Sequence[shapely.Geometry],
        exclude: Sequence[shapely.Geometry] = (),
        *,
        slide: "Pixels | None" = None,
    ) -> "Regions":
        """Unite polygons; crossing outlines are mended, as people draw them.

        slide: what they are drawn on, of whose edge a rim is left out, since cells are cut there.
        A line that a person draws cuts no cell: what lies beyond it is seen, and the nucleus'
        centroid decides.
        """
        inside = shapely.union_all([shapely.make_valid(each) for each in tumour])
        outside = shapely.union_all([shapely.make_valid(each) for each in exclude])
        area = shapely.difference(inside, outside)
        if slide is not None:
            rim = RIM_UM / slide.mpp
            uncut = shapely.box(rim, rim, slide.width - rim, slide.height - rim)
            area = shapely.intersection(area, uncut)
        shapely.prepare(area)
        return cls(area)

    @classmethod
    def whole(cls, slide: Pixels) -> "Regions":
        """Take all of a picture, a field that a person chose, less the rim."""
        return cls.of([shapely.box(0, 0, slide.width, slide.height)], slide=slide)

    @property
    def empty(self) -> bool:
        return not self.tumour.area > 0

    def holds(self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Bool:
        """Tell which points, level-0 px (n,), lie in the tumour: bool (n,)."""
        return np.asarray(shapely.contains_xy(self.tumour, x, y), np.bool_)

    def areas(
        self, corners: npt.NDArray[np.float64], ends: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Tumour in each level-0 box from `corners` to `ends`, x, y (n, 2): level-0 px² (n,)."""
        boxes = shapely.box(*corners.T, *ends.T)
        return np.asarray(shapely.area(shapely.intersection(self.tumour, boxes)), np.float64)

    def touches(self, box: tuple[float, float, float, float]) -> bool:
        """Tell whether a level-0 box (left, top, right, bottom) meets the tumour."""
        return bool(self.tumour.intersects(shapely.box(*box)))


class Field:
    """A picture in memory as Pixels and Masks: RGB (H, W, 3), masks bool (H, W) of its size."""

    def __init__(
        self, image: Rgb, mpp: float, membrane: Bool | None = None, reviewed: Bool | None = None
    ) -> None:
        if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
            raise ValueError(f"an RGB image must be uint8 (H, W, 3), got {image.shape}")
        for name, mask in (("mask", membrane), ("reviewed mask", reviewed)):
            if mask is not None and mask.shape != image.shape[:2]:
                raise ValueError(f"the {name} is {mask.shape}, the image {image.shape[:2]}")
        if not mpp > 0:
            raise ValueError(f"mpp must be positive, got {mpp}")
        self.image, self.mpp = image, mpp
        nothing = np.zeros(image.shape[:2], np.bool_)
        self._membrane = nothing if membrane is None else membrane
        self._reviewed = nothing if reviewed is None else reviewed
        self._drawn: dict[float, Rgb] = {mpp: image}
        self.masks = MaskArrays(self._at(self._membrane), self._at(self._reviewed))

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])

    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> Rgb:
        if mpp not in self._drawn:
            finer = mpp < self.mpp
            how = cv2.INTER_LINEAR if finer else cv2.INTER_AREA
            size = scaled(self.width, self.mpp, mpp), scaled(self.height, self.mpp, mpp)
            self._drawn[mpp] = np.asarray(cv2.resize(self.image, size, interpolation=how), np.uint8)
        out = np.full((height, width, 3), 255, np.uint8)
        cut(self._drawn[mpp], x, y, out)
        return out

    def _at(self, mask: Bool) -> Bool:
        if self.mpp == ANALYSIS_MPP:
            return mask
        size = tuple(scaled(n, self.mpp, ANALYSIS_MPP) for n in (self.width, self.height))
        how = cv2.INTER_LINEAR if self.mpp > ANALYSIS_MPP else cv2.INTER_AREA
        # an area's share of membrane decides, so that thin lines do not break where they are shrunk
        share = cv2.resize(mask.astype(np.float32), size, interpolation=how)
        return np.asarray(share >= 0.5)


@dataclass(frozen=True)
class MaskArrays:
    """Masks in memory, bool (H, W) at ANALYSIS_MPP; `likely`: a model's probability, 0-255."""

    membrane: Bool
    reviewed: Bool
    likely: npt.NDArray[np.uint8] | None = None

    def read(self, x: int, y: int, width: int, height: int) -> tuple[Bool, Bool]:
        out = np.zeros((2, height, width), np.bool_)
        cut(self.membrane, x, y, out[0])
        cut(self.reviewed, x, y, out[1])
        return out[0], out[1]

    def probability(self, x: int, y: int, width: int, height: int) -> npt.NDArray[np.uint8] | None:
        """Return a box of the model's probability (models.her2.mask_doubt)."""
        if self.likely is None:
            return None
        out = np.zeros((height, width), np.uint8)
        cut(self.likely, x, y, out)
        return out


def scaled(pixels: int, mpp: float, other: float) -> int:
    """How many px of `other` µm a length of `pixels` of `mpp` µm has, at least one."""
    return max(1, round(pixels * mpp / other))


def cut(whole: npt.NDArray[np.generic], x: int, y: int, out: npt.NDArray[np.generic]) -> None:
    """Copy the box at (x, y) of the size of `out` into it; what lies outside is left as it is."""
    top, left = max(0, -y), max(0, -x)
    bottom = min(out.shape[0], whole.shape[0] - y)
    right = min(out.shape[1], whole.shape[1] - x)
    if bottom > top and right > left:
        out[top:bottom, left:right] = whole[y + top : y + bottom, x + left : x + right]
