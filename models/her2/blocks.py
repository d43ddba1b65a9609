"""Square blocks of a slide's own grid that lie in its tumour, and an even choice of them."""

from collections.abc import Sequence

import numpy as np
import shapely

from models.her2.pixels import ANALYSIS_MPP, Pixels, Regions, scaled

Corner = tuple[int, int]
"""Left and top in px of the analysis."""
_ACROSS, _DOWN = 0.7548776662466927, 0.5698402909980532
"""Roberts' R2 sequence, 1/p and 1/p² of the plastic number p: evenly spread over a plane."""


def blocks_in(
    slide: Pixels, regions: Regions, side_px: int, *, by_middle: bool = False
) -> list[Corner]:
    """Return the blocks that the tumour touches, or those whose middle it holds; row by row."""
    width, height = (scaled(n, slide.mpp, ANALYSIS_MPP) for n in (slide.width, slide.height))
    scale = ANALYSIS_MPP / slide.mpp
    if regions.empty:
        return []
    bounds = np.asarray(regions.tumour.bounds) / (scale * side_px)
    first, last = np.floor(bounds[:2]).astype(int), np.floor(bounds[2:]).astype(int)
    most = (width - 1) // side_px, (height - 1) // side_px
    left = np.arange(max(0, first[0]), min(most[0], last[0]) + 1) * side_px
    top = np.arange(max(0, first[1]), min(most[1], last[1]) + 1) * side_px
    tops, lefts = (each.ravel() for each in np.meshgrid(top, left, indexing="ij"))
    if by_middle:
        middle = ((each + side_px / 2) * scale for each in (lefts, tops))
        inside = regions.holds(*middle)
    else:
        boxes = shapely.box(
            lefts * scale, tops * scale, (lefts + side_px) * scale, (tops + side_px) * scale
        )
        inside = shapely.intersects(regions.tumour, boxes)
    return list(zip(lefts[inside].tolist(), tops[inside].tolist(), strict=True))


def spread(blocks: Sequence[Corner], side_px: int, most: int) -> list[Corner]:
    """Choose at most so many blocks, evenly spread; row by row.

    Each has its rank by its place, so that an edit of the region changes few of the chosen ones.
    """
    if len(blocks) <= most:
        return list(blocks)
    rank = (np.asarray(blocks, np.float64) / side_px) @ np.array([_ACROSS, _DOWN]) % 1
    return [blocks[at] for at in np.sort(np.argsort(rank, kind="stable")[:most])]
