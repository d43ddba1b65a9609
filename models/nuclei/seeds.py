"""From the maps of a network to nuclei: a seed on each hilltop, and its share of what is inside."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from models.her2.nuclei import NUCLEI_MPP, Float, Index, Label, nearest_seed


@dataclass(frozen=True)
class Seeding:
    """How hilltops become nuclei; lengths in µm, maps from 0 to 1."""

    least_centre: float = 0.5
    least_inside: float = 0.5
    apart_um: float = 2.5
    sure_um: float = 2.6
    """So near to a seed is nucleus, however pale: 21 µm², the least of a tumour cell's."""
    reach_um: float = 7.0

    def __call__(self, centre: Float, inside: Float, mpp: float = NUCLEI_MPP) -> Label:
        """Label nuclei on maps float32 (H, W) of their middles and of what is inside one."""
        hills = np.asarray(cv2.blur(centre, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)
        rows, cols = self.seeds(hills, mpp)
        if not len(rows):
            return np.zeros(centre.shape, np.int32)
        support = (inside > self.least_inside).astype(np.uint8)
        sure = round(self.sure_um / mpp)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * sure + 1, 2 * sure + 1))
        points = np.zeros(centre.shape, np.uint8)
        points[rows, cols] = 1
        support |= cv2.dilate(points, disc)
        # what holds no seed is no nucleus's, however near one is
        count, part = cv2.connectedComponents(support, connectivity=4)
        seeded = np.zeros(count, np.bool_)
        seeded[part[rows, cols]] = True
        seeded[0] = False
        return nearest_seed(seeded[part], rows, cols, self.reach_um / mpp)

    def seeds(self, hills: Float, mpp: float) -> tuple[Index, Index]:
        """Return rows and columns of the hilltops; of two equal ones too close the later goes."""
        radius = round(self.apart_um / mpp)
        around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        top = (hills >= cv2.dilate(hills, around)) & (hills > self.least_centre)
        rows, cols = np.divmod(np.flatnonzero(top), hills.shape[1])
        if len(rows) < 2:
            return rows, cols
        pairs = cKDTree(np.stack([rows, cols], axis=1)).query_pairs(
            self.apart_um / mpp, output_type="ndarray"
        )
        keep = np.ones(len(rows), np.bool_)
        keep[pairs.max(axis=1)] = False
        return rows[keep], cols[keep]
