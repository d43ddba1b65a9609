"""How sure the model is of the membranes that a score stands on: the flag `mask_uncertain`."""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.her2.blocks import Corner, blocks_in, spread
from models.her2.flags import Flag
from models.her2.pixels import ANALYSIS_MPP, Masks, Pixels, Regions

Doubts = Mapping[Corner, tuple[int, int, int]]
FROM, TO = 77, 178
"""Of a stored probability, 0-255: 0.3 and 0.7 (her2.md §3.9)."""
MOST_SHARE = 0.4
"""On 20 phantoms 0 to 3+ with cold-start proposals a share below this went with a Dice of the mask
of 0.60 to 0.78, one above it with 0.00 to 0.45 (and once, at 0.41, with 0.61)."""
LEAST_MEMBRANE = 0.01
"""Of the tumour: where hardly anything could be membrane, its share says nothing."""
BLOCK_PX = 512
MOST_BLOCKS = 256
"""Read of a slide, evenly spread: enough for a share, and bounded on any slide."""
STEP_PX = 4
"""Every micrometre a pixel is looked at."""


class LikelyMasks(Masks, Protocol):
    """Masks that know how probable they are."""

    def probability(self, x: int, y: int, width: int, height: int) -> npt.NDArray[np.uint8] | None:
        """Return a box of the model's probability, 0-255 (H, W); None where no model drew."""
        ...


def flag_of(share: float | None) -> Iterator[Flag]:
    """Say it if too much of the membrane is in doubt."""
    if share is not None and share > MOST_SHARE:
        yield Flag(
            "mask_uncertain",
            f"The model is unsure (probability 0.3 to 0.7) of {100 * share:.0f} % of what may be "
            "membrane in the tumour.",
        )


def uncertain_share(slide: Pixels, masks: LikelyMasks, regions: Regions) -> float | None:
    """Share of what may be membrane, in the tumour, of which the model is not sure: 0 to 1.

    May be membrane: a probability of 0.3 or more, or a person's membrane, of which nobody is
    unsure. None without a model's mask, or where less than 1 % of the tumour may be membrane.
    """
    return share_of(doubts(slide, masks, regions, {}))


def share_of(blocks: Doubts) -> float | None:
    """Return the share of all blocks together."""
    unsure, maybe, area = (sum(each) for each in zip((0, 0, 0), *blocks.values(), strict=True))
    return unsure / maybe if maybe > LEAST_MEMBRANE * area else None


def doubts(slide: Pixels, masks: LikelyMasks, regions: Regions, known: Doubts) -> Doubts:
    """Return unsure, possible and all pixels of each block looked at; those `known` are not read.

    Empty without a model's mask.
    """
    blocks = blocks_in(slide, regions, BLOCK_PX)
    counts: dict[Corner, tuple[int, int, int]] = {}
    for corner in spread(blocks, BLOCK_PX, MOST_BLOCKS):
        if corner in known:
            counts[corner] = known[corner]
            continue
        probability = masks.probability(*corner, BLOCK_PX, BLOCK_PX)
        if probability is None:
            return {}
        inside = _inside(slide, regions, *corner)
        membrane, reviewed = (
            plane[::STEP_PX, ::STEP_PX][inside] for plane in masks.read(*corner, BLOCK_PX, BLOCK_PX)
        )
        likely = probability[::STEP_PX, ::STEP_PX][inside]
        guessed = (likely >= FROM) & ~reviewed
        unsure = int((guessed & (likely <= TO)).sum())
        maybe = int((guessed | (membrane & reviewed)).sum())
        counts[corner] = unsure, maybe, likely.size
    return counts


def _inside(slide: Pixels, regions: Regions, left: int, top: int) -> npt.NDArray[np.bool_]:
    """Tell which of a block's looked-at pixels lie in the tumour."""
    along = (np.arange(0, BLOCK_PX, STEP_PX) + 0.5) * ANALYSIS_MPP / slide.mpp
    x0, y0 = (n * ANALYSIS_MPP / slide.mpp for n in (left, top))
    x, y = np.meshgrid(x0 + along, y0 + along)
    in_tumour = regions.holds(x.ravel(), y.ravel()) & (x.ravel() < slide.width)
    return np.asarray((in_tumour & (y.ravel() < slide.height)).reshape(x.shape), np.bool_)
