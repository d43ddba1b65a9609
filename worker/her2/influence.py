"""Which patches could change a slide's category: weighed by its cells, kept for the queue."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.learning.queue.influence import InfluentialPatch
from backend.slides.patches.grid import PATCH_PX, Measured, grid_shape, scale
from models.her2.cells import Cells
from models.her2.influence import Turn, doubt, influence, turns
from models.her2.protocols import Protocol

MOST_PATCHES = 2000
"""Kept of a slide: more than anybody looks at before the next change weighs them anew."""


def weighed(
    slide: Measured,
    cells: Cells,
    included: npt.NDArray[np.bool_],
    document: Mapping[str, Any],
    protocol: Protocol,
    *,
    analysis_mpp: float,
) -> list[InfluentialPatch]:
    """Return the patches that could change the category, the most influential first."""
    ways = turns(document, protocol)
    if not ways:
        return []
    _, width = grid_shape(slide, analysis_mpp)
    assert slide.mpp is not None, "a slide with cells is measured"
    side0 = PATCH_PX * scale(slide.mpp, analysis_mpp)
    row, column = (np.floor(each / side0).astype(np.int64) for each in (cells.y, cells.x))
    chance = doubt(cells, included, protocol)
    influences = influence(chance, cells.label, row * width + column, ways)
    first = np.lexsort((influences.place, -influences.share))[:MOST_PATCHES]
    return [
        InfluentialPatch(
            row=int(influences.place[at]) // width,
            column=int(influences.place[at]) % width,
            influence=float(influences.share[at]),
            reason=reason(
                ways[influences.turn[at]],
                document,
                protocol,
                doubtful=int(influences.doubtful[at]),
                expected=float(influences.expected[at]),
            ),
        )
        for at in first
    ]


def stopping_first(
    patches: Sequence[InfluentialPatch], document: Mapping[str, Any]
) -> list[InfluentialPatch]:
    """Put the places that the rule to stop waits for before all others, in the rule's order."""
    by_place = {(each.row, each.column): each for each in patches}
    stop = document["stop"]
    could = " or ".join(stop["could_become"]) or "another category"
    first = []
    for number, (row, column) in enumerate(stop["places"], start=1):
        known = by_place.pop((row, column), None)
        text = f"Place {number} of {stop['places_left']} after which the rule to stop may be met."
        why = known.reason if known else _reason_of_stop(document, could)
        said = f"{why['text']} {text}"
        changed = why | {"text": said, "place": number, "places_left": stop["places_left"]}
        first.append(InfluentialPatch(row, column, known.influence if known else 0.0, changed))
    return [*first, *by_place.values()][:MOST_PATCHES]


def _reason_of_stop(document: Mapping[str, Any], could: str) -> dict[str, Any]:
    """Say why a place is asked for whose cells do not look doubtful one by one."""
    now = document["printed_score"]
    return {
        "text": f"Proposals as on this slide are often wrong enough to change {now} to {could}.",
        "strategy": "clinical",
        "score_now": document["score"],
    }


def reason(
    way: Turn,
    document: Mapping[str, Any],
    protocol: Protocol,
    *,
    doubtful: int,
    expected: float,
) -> dict[str, Any]:
    """Say which threshold, how many doubtful cells lie here, and how many flips would do."""
    now = document["printed_score"]
    cells = "The class of 1 cell" if doubtful == 1 else f"The classes of {doubtful} cells"
    verb = "is" if doubtful == 1 else "are"
    flips = "1 cell" if way.flips == 1 else f"{way.flips} cells"
    test = protocol.words[way.test].removesuffix(".")
    return {
        "text": (
            f"{cells} here {verb} in doubt. Were {flips} of the slide in another class, the "
            f"category would be {way.score} and not {now}. In question: “{test}”; now it is "
            f"{way.percent_now:.1f} %."
        ),
        "strategy": "clinical",
        "test": way.test,
        "percent_now": way.percent_now,
        "threshold": way.threshold,
        "score_now": document["score"],
        "score_then": way.score,
        "joins": way.joins,
        "doubtful_cells": doubtful,
        "expected_flips": round(expected, 2),
        "cells_to_flip": way.flips,
        "influence": round(expected / way.flips, 6),
    }
