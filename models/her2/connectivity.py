"""How connected the membrane staining is, as one number that needs no cells.

The idea is HER2-CONNECT's (her2.md §2), the formula our own: their cut-offs do not apply to it.
"""

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from models.her2.blocks import Corner, blocks_in
from models.her2.pixels import ANALYSIS_MPP, Masks, Pixels, Regions

Blocks = Mapping[Corner, tuple[int, int]]
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
    return share_of(long_pieces(slide, masks, regions, {}))


def share_of(blocks: Blocks) -> float | None:
    """Return the share of all blocks together."""
    total = sum(here for here, _ in blocks.values())
    return sum(long for _, long in blocks.values()) / total if total else None


def long_pieces(slide: Pixels, masks: Masks, regions: Regions, known: Blocks) -> Blocks:
    """Return membrane and long pieces of each block by its corner; those `known` are not read."""
    return {
        corner: known.get(corner) or pieces(masks.read(*corner, BLOCK_PX, BLOCK_PX)[0])
        for corner in blocks_in(slide, regions, BLOCK_PX)
    }


def pieces(membrane: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Area of a block's membrane (H, W), and of its long pieces, in px of 0.5 µm."""
    coarse = membrane[::_COARSE, ::_COARSE].astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(coarse, connectivity=8)
    stats = stats[1:]
    length = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    length = length * ANALYSIS_MPP * _COARSE
    area = stats[:, cv2.CC_STAT_AREA]
    return int(area[length >= _SPECK_UM].sum()), int(area[length >= LONG_UM].sum())
