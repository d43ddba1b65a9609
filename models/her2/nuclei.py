"""Nuclei: a detector draws them as a label map, and they are measured.

The rule here needs no weights: blobs of haematoxylin by the Laplacian of a Gaussian (her2.md §3.2).
Networks, the shipped one and those that a user mounts, are in models.nuclei.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from models.her2.optical_density import Densities
from models.her2.pixels import Pixels

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Rgb = npt.NDArray[np.uint8]
Label = npt.NDArray[np.int32]
Index = npt.NDArray[np.intp]

NUCLEI_MPP = 0.5
"""Resolution of detectors: a nucleus is some 15 pixels wide."""


@dataclass(frozen=True)
class View:
    """A tile with its halo: RGB (H, W, 3) at NUCLEI_MPP, begun at (top, left), px of NUCLEI_MPP.

    Who needs to see more of the slide than that reads it.
    """

    slide: Pixels
    top: int
    left: int
    image: Rgb


class Detector(Protocol):
    """Draws nuclei; the same one at the same place of a slide, whichever tile is in view."""

    @property
    def name(self) -> str: ...
    def __call__(self, view: View) -> Label:
        """Label the nuclei of a view: int32 (H, W), 0 is none."""
        ...


@dataclass(frozen=True)
class LogDetector:
    """Laplacian of a Gaussian at two nuclear radii; lengths in µm, amounts in log10 density.

    Radii of 3.2 and 4.2 µm: at 2.0 and 2.8 (her2.md) 40 % of the phantoms' tumour nuclei were
    split, at these 4 %, and 5 % are missed. Brown beyond `brown_from` is taken off the
    haematoxylin, which no linear separation keeps clear of strong DAB.
    """

    densities: Densities
    radii_um: tuple[float, ...] = (3.2, 4.2)
    least_peak: float = 0.02
    least_support: float = 0.006
    apart_um: float = 3.0
    reach_um: float = 8.0
    same_um: float = 7.0
    saddle: float = 0.8
    brown_share: float = 0.6
    brown_from: float = 0.15

    @property
    def name(self) -> str:
        return "log"

    def __call__(self, view: View) -> Label:
        return self.labels(view.image, NUCLEI_MPP)

    def labels(self, image: Rgb, mpp: float) -> Label:
        """Label the nuclei of RGB (H, W, 3); nothing over 32 µm away matters to one."""
        brown = np.maximum(self.densities.dab(image) - np.float32(self.brown_from), 0)
        blue = self.densities.haematoxylin(image) - np.float32(self.brown_share) * brown
        response = self._response(np.maximum(blue, 0), mpp)
        rows, cols = self._seeds(response, mpp)
        return nearest_seed(response > self.least_support, rows, cols, self.reach_um / mpp)

    def _response(self, blue: Float, mpp: float) -> Float:
        """Scale-normalised −∇²G, the largest over the radii."""
        best: Float | None = None
        for radius in self.radii_um:
            sigma = radius / np.sqrt(2) / mpp
            smooth = cv2.GaussianBlur(blue, (0, 0), sigma)
            here = np.asarray(cv2.Laplacian(smooth, cv2.CV_32F, scale=-(sigma**2)), np.float32)
            best = here if best is None else np.asarray(cv2.max(best, here), np.float32)
        if best is None:
            raise ValueError("a detector needs at least one radius")
        return best

    def _seeds(self, response: Float, mpp: float) -> tuple[Index, Index]:
        """Local maxima; of two with hardly a dip between them the weaker goes."""
        radius = round(self.apart_um / mpp)
        around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        peak = (response >= cv2.dilate(response, around)) & (response > self.least_peak)
        rows, cols = np.divmod(np.flatnonzero(peak), peak.shape[1])
        return without_twins(response, rows, cols, self.same_um / mpp, self.saddle)


def without_twins(
    heights: Float, rows: Index, cols: Index, reach: float, saddle: float
) -> tuple[Index, Index]:
    """Of two hilltops within `reach` px with hardly a dip between them keep the higher.

    heights (H, W); a dip is less than `saddle` of the lower one's height.
    """
    if len(rows) < 2:
        return rows, cols
    pairs = cKDTree(np.stack([rows, cols], axis=1)).query_pairs(reach, output_type="ndarray")
    a, b = pairs[:, 0], pairs[:, 1]
    lowest = np.full(len(pairs), np.inf, np.float32)
    for share in np.linspace(0, 1, 9)[1:-1]:
        # not the place is rounded but the way to it: a half would go by the tile's corner
        row = rows[a] + np.rint((rows[b] - rows[a]) * share).astype(np.intp)
        col = cols[a] + np.rint((cols[b] - cols[a]) * share).astype(np.intp)
        lowest = np.minimum(lowest, heights[row, col])
    height = heights[rows, cols]
    same = lowest >= saddle * np.minimum(height[a], height[b])
    keep = np.ones(len(rows), np.bool_)
    # of equals the later goes: the order is by place, so every tile decides alike
    keep[np.where(height[a] < height[b], a, b)[same]] = False
    return rows[keep], cols[keep]


def nearest_seed(support: npt.NDArray[np.bool_], rows: Index, cols: Index, reach: float) -> Label:
    """Give each pixel of the support to its nearest seed within `reach` px: int32 (H, W).

    This is the watershed of the distance to the seeds; unlike flooding by grey level it never
    depends on what is far away, so tiles agree.
    """
    if not len(rows):
        return np.zeros(support.shape, np.int32)
    free = np.ones(support.shape, np.uint8)
    free[rows, cols] = 0
    distance, place = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    number = np.zeros(len(rows) + 1, np.int32)
    number[place[rows, cols]] = np.arange(1, len(rows) + 1)
    out: Label = np.take(number, np.asarray(place, np.int32))
    out *= support & (np.asarray(distance) <= reach)
    return out


_UPPER = 2.0**26
"""Sums of a nucleus' columns stay below: 2²⁶ is 800 pixels at column 80,000 of a tile."""


@dataclass(frozen=True)
class Nuclei:
    """Measured nuclei: label, centroid (row, col) in px from the origin, area, shape, mean DAB.

    Columns (n,); `elongation` is the ratio of the main axes, `dab` log10 optical density.
    """

    number: Label
    row: Double
    col: Double
    area_um2: Double
    elongation: Double
    dab: Double

    def take(self, which: npt.NDArray[np.bool_]) -> "Nuclei":
        """Return the chosen nuclei."""
        return Nuclei(**{name: column[which] for name, column in vars(self).items()})


def measure_nuclei(
    labels: Label, dab: Float, mpp: float, corner: tuple[int, int] = (0, 0)
) -> Nuclei:
    """Measure the regions of a label map (H, W) on the DAB of the same size.

    corner: (row, col) of the map's first pixel. Centroids are quotients of whole numbers, so a
    nucleus has the same one to the last bit in every tile.
    """
    flat = np.flatnonzero(labels > 0)
    label = np.take(labels, flat)
    n = int(label.max(initial=0)) + 1
    above = flat // labels.shape[1]
    row, col = above.astype(np.float64), (flat - above * labels.shape[1]).astype(np.float64)
    size = np.bincount(label, minlength=n)
    number = np.flatnonzero(size).astype(np.int32)
    many = np.maximum(size, 1).astype(np.float64)

    def total(values: npt.NDArray[np.generic]) -> Double:
        return np.bincount(label, values, n).astype(np.float64)

    # two sums of whole numbers fit into one float64: a row's into the upper bits
    rows, cols = np.divmod(total(row * _UPPER + col), _UPPER)
    # moments about a pixel: small whole numbers, the same ones in every tile
    near_row, near_col = rows // many, cols // many
    row -= near_row[label]
    col -= near_col[label]
    row_row, col_col = np.divmod(total(row * row * _UPPER + col * col), _UPPER)
    off_row, off_col = (rows - near_row * many) / many, (cols - near_col * many) / many
    rr, cc = row_row / many - off_row**2, col_col / many - off_col**2
    rc = total(row * col) / many - off_row * off_col
    half, root = (rr + cc) / 2, np.sqrt(((rr - cc) / 2) ** 2 + rc**2)
    # a pixel's own extent keeps a line of pixels from an infinite ratio
    elongation = np.sqrt((half + root + 1 / 12) / np.maximum(half - root + 1 / 12, 1e-6))
    return Nuclei(
        number=number,
        row=((rows + corner[0] * size) / many)[number],
        col=((cols + corner[1] * size) / many)[number],
        area_um2=size[number].astype(np.float64) * mpp * mpp,
        elongation=elongation[number],
        dab=(total(np.take(dab, flat)) / many)[number],
    )
