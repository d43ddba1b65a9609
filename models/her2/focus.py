"""How much of the tumour is out of focus, by area: where all is blurred no nucleus is found."""

from collections.abc import Iterator, Mapping
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from models.her2.blocks import Corner, blocks_in, spread
from models.her2.flags import Flag
from models.her2.optical_density import NOT_GLASS, density_of
from models.her2.pixels import ANALYSIS_MPP, Pixels, Regions
from models.her2.white_point import BLOCK_PX, FOCUS_MPP, Survey, focus_of

Rgb = npt.NDArray[np.uint8]

BLURRED = 0.3
"""Of the slide's usual focus (her2.md §3.9): cells in blocks below it are left out."""
MOST_SHARE = 0.2
MOST_BLOCKS = 256
"""Looked at in a tumour, evenly spread: enough for a share, and bounded on any slide."""
SIDE_PX = round(BLOCK_PX * FOCUS_MPP / ANALYSIS_MPP)
"""Of a block, in px of the analysis."""


class Seen(IntEnum):
    """What a block shows."""

    NOTHING = 0
    SHARP = 1
    BLURRED = 2


def blocks(
    slide: Pixels, regions: Regions, survey: Survey, known: Mapping[Corner, Seen]
) -> dict[Corner, Seen]:
    """Judge blocks of 64 µm whose middle lies in the tumour; those `known` are not read."""
    if np.isnan(survey.focus):
        return {}
    inside = blocks_in(slide, regions, SIDE_PX, by_middle=True)
    return {
        corner: known[corner] if corner in known else _judged(slide, corner, survey)
        for corner in spread(inside, SIDE_PX, MOST_BLOCKS)
    }


def share_of(observed: Mapping[Corner, Seen]) -> float | None:
    """Return the blurred share of the blocks with tissue; None where there are none."""
    with_tissue = [each for each in observed.values() if each != Seen.NOTHING]
    return with_tissue.count(Seen.BLURRED) / len(with_tissue) if with_tissue else None


def flag_of(share: float | None, left_out: int) -> Iterator[Flag]:
    """Say it if much of the tumour is blurred; `left_out` cells were found there all the same."""
    if share is not None and share > MOST_SHARE:
        yield Flag(
            "out_of_focus",
            f"{100 * share:.0f} % of the tumour is out of focus; the {left_out} cells that were "
            "found there are left out.",
        )


def _judged(slide: Pixels, corner: Corner, survey: Survey) -> Seen:
    left, top = (round(n * ANALYSIS_MPP / FOCUS_MPP) for n in corner)
    image = slide.read(left, top, BLOCK_PX, BLOCK_PX, FOCUS_MPP)
    focus = focus_of(image)
    if np.isnan(focus):
        # tissue without any contrast is blurred: in focus it has at least nuclei
        dense = density_of(image, survey.white).mean() >= NOT_GLASS
        return Seen.BLURRED if dense else Seen.NOTHING
    return Seen.BLURRED if focus < BLURRED * survey.focus else Seen.SHARP
