"""From the maps of a network to nuclei: a seed on each hilltop, and its share of what is inside."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.her2.nuclei import NUCLEI_MPP, Float, Index, Label, nearest_seed, without_twins


@dataclass(frozen=True)
class Seeding:
    """How hilltops become nuclei; lengths in µm, maps from 0 to 1."""

    least_centre: float = 0.45
    least_inside: float = 0.5
    apart_um: float = 2.5
    sure_um: float = 2.6
    """So near to a seed is nucleus, however pale: 21 µm², the least of a tumour cell's."""
    reach_um: float = 7.0
    same_um: float = 6.0
    saddle: float = 0.7
    """Hilltops so near, with no dip below this share of the lower one, are of one large nucleus."""

    def __call__(self, centre: Float, inside: Float, mpp: float = NUCLEI_MPP) -> Label:
        """Label nuclei on maps float32 (H, W) of their middles and of what is inside one."""
        hills = np.asarray(cv2.blur(centre, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)
        rows, cols = self.seeds(hills, mpp)
        if not len(rows):
            return np.zeros(centre.shape, np.int32)
        support = (inside > self.least_inside).astype(np.uint8)
        self._stamp(support, rows, cols, mpp)
        # what holds no seed is no nucleus's, however near one is
        count, part = cv2.connectedComponents(support, connectivity=4)
        seeded = np.zeros(count, np.bool_)
        seeded[part[rows, cols]] = True
        seeded[0] = False
        return nearest_seed(seeded[part], rows, cols, self.reach_um / mpp)

    def seeds(self, hills: Float, mpp: float) -> tuple[Index, Index]:
        """Return rows and columns of the hilltops of nuclei."""
        # a square is searched in a fraction of a disc's time; its corners lie `apart_um` away
        radius = int(self.apart_um / mpp / np.sqrt(2) + 0.5)
        around = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
        top = (hills >= cv2.dilate(hills, around)) & (hills > self.least_centre)
        rows, cols = np.divmod(np.flatnonzero(top), hills.shape[1])
        return without_twins(hills, rows, cols, self.same_um / mpp, self.saddle)

    def _stamp(self, support: npt.NDArray[np.uint8], rows: Index, cols: Index, mpp: float) -> None:
        """Add the disc of `sure_um` round each seed to the support."""
        reach = int(self.sure_um / mpp)
        down, right = np.indices((2 * reach + 1, 2 * reach + 1)) - reach
        within = down**2 + right**2 <= (self.sure_um / mpp) ** 2
        for row, col in zip(down[within].tolist(), right[within].tolist(), strict=True):
            at = (
                (rows + row).clip(0, support.shape[0] - 1),
                (cols + col).clip(0, support.shape[1] - 1),
            )
            support[at] = 1
