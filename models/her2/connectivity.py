"""How connected the membrane staining is, as one number that needs no cells.

The idea is HER2-CONNECT's (her2.md §2), the formula our own: their cut-offs do not apply to it.
"""

import cv2
import numpy as np
import numpy.typing as npt

from models.her2.pixels import ANALYSIS_MPP, Masks, Pixels, Regions, scaled

BLOCK_PX = 512
LONG_UM = 30.0
"""Rather more than half the way round a cell: what a partial arc does not reach."""
_COARSE = 2
_SPECK_UM = 4.0


def connectivity(slide: Pixels, masks: Masks, regions: Regions) -> float | None:
    """Share of the membrane that lies in pieces longer than 30 µm, 0 to 1; None without membrane.

    A piece's length is the diagonal of its bounds within a block of 128 µm; specks below 4 µm are
    no membrane. Blocks that the tumour touches count.
    """
    width = scaled(slide.width, slide.mpp, ANALYSIS_MPP)
    height = scaled(slide.height, slide.mpp, ANALYSIS_MPP)
    scale = ANALYSIS_MPP / slide.mpp
    total = connected = 0
    for top in range(0, height, BLOCK_PX):
        for left in range(0, width, BLOCK_PX):
            box = (left * scale, top * scale, (left + BLOCK_PX) * scale, (top + BLOCK_PX) * scale)
            if regions.touches(box):
                membrane, _ = masks.read(left, top, BLOCK_PX, BLOCK_PX)
                here, long = pieces(membrane)
                total += here
                connected += long
    return connected / total if total else None


def pieces(membrane: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Area of a block's membrane (H, W), and of its long pieces, in px of 0.5 µm."""
    coarse = membrane[::_COARSE, ::_COARSE].astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(coarse, connectivity=8)
    stats = stats[1:]
    length = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    length = length * ANALYSIS_MPP * _COARSE
    area = stats[:, cv2.CC_STAT_AREA]
    return int(area[length >= _SPECK_UM].sum()), int(area[length >= LONG_UM].sum())
