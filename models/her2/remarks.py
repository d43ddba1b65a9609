"""What the tiles of a slide say about the worth of its score: flags that need no pixels."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from models.her2.classes import INDEX
from models.her2.decision import Verdict
from models.her2.flags import Flag
from models.her2.protocols import Protocol
from models.her2.tile_counts import TileCounts

CERTAIN = 0.9
GOOD_TILES = 30
DENSITY_PER_MM2 = (1_000, 12_000)
OBSCURED_PERCENT = 10
"""As many cells as would make a 2+ if their membranes were stained and could be seen."""


def remarks(
    tiles: TileCounts,
    protocol: Protocol,
    verdict: Verdict,
    probability: Mapping[str, float],
    heterogeneity: Mapping[str, Any],
) -> Iterator[Flag]:
    """Derive warnings (her2.md §3.9) from the tiles and from what was made of them."""
    counts = tiles.counts.sum(axis=0, dtype=np.int64)
    total, intense = int(counts.sum()), int(counts[INDEX["IC"]])
    if len(tiles) < GOOD_TILES:
        yield Flag(
            "tiles_lt_30",
            f"{len(tiles)} fields hold cells: with fewer than {GOOD_TILES} the intervals are "
            "narrower than they should be.",
        )
    likely = sorted(probability.items(), key=lambda each: -each[1])
    if likely[0][1] < CERTAIN:
        shares = ", ".join(f"{score}: {100 * share:.0f} %" for score, share in likely if share)
        yield Flag("borderline", f"Other fields of this slide could have given {shares}.")
    if verdict.score == "3+" and intense and tiles.intense_clustered is not None:
        together = int(tiles.intense_clustered.sum())
        if 2 * together < intense:
            yield Flag(
                "not_contiguous",
                f"Only {together} of {intense} intense complete cells lie among others: "
                "is this a homogeneous, contiguous population?",
            )
    if heterogeneity["clustered"]:
        yield Flag(
            "clustered_heterogeneity",
            f"A distinct 3+ population holds {heterogeneity['share_3plus']:.1f} % of the cells "
            f"(asked for: more than {protocol.cut_percent} %); the others score "
            f"{heterogeneity['rest_score']}.",
        )
    if tiles.obscured is not None and 100 * int(tiles.obscured.sum()) > OBSCURED_PERCENT * total:
        yield Flag(
            "cytoplasm_obscures",
            f"{100 * int(tiles.obscured.sum()) / total:.0f} % of the cells show no membrane and a "
            "cytoplasm as brown as a weak one: does it hide the membrane? Then this is a 2+ "
            "pattern that can't be counted.",
        )
    if tiles.area_um2 is not None and tiles.area_um2.sum() > 0:
        density = total / (float(tiles.area_um2.sum()) / 1e6)
        if not DENSITY_PER_MM2[0] <= density <= DENSITY_PER_MM2[1]:
            yield Flag(
                "nuclei_density",
                f"{density:.0f} tumour nuclei per mm²: they may not all have been found.",
            )
