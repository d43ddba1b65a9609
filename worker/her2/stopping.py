"""The rule that says when to stop, for a slide: from its cells, masks and regions to the document.

Pure as the document is: what the model proposed where people have corrected it since is measured
again, from the same pixels and the same prediction, so a report computed anew says the same.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from backend.kit.storage.blobs import Blobs
from backend.slides.patches.grid import PATCH_PX, grid_shape, patch_region, scale
from models.her2 import stopping
from models.her2.blocks import spread
from models.her2.cells import Cells
from models.her2.pixels import Regions
from models.her2.stopping import ENOUGH, Open, Stop
from models.her2.tiles import measure
from models.her2.transitions import shipped, transitions
from models.her2.white_point import Survey, survey
from worker.her2 import document
from worker.her2.document import Scored
from worker.her2.measurement import Inputs, Opened

Place = tuple[int, int]
"""Row and column of the grid of patches."""
MOST_LEARNED = 48
"""Corrected places that are looked at to learn how this slide's proposals err."""
MOST_LISTED = 2000
_KEPT = 4 * MOST_LEARNED
_proposed: OrderedDict[tuple[Any, ...], Cells] = OrderedDict()
"""Cells of places as proposed, by all that they depend on: a correction measures few anew."""


def of(
    on: Opened, scored: Scored, inputs: Inputs, blobs: Blobs, known: Survey | None
) -> dict[str, Any]:
    """Return what the score document says of stopping. known: the slide's survey, if measured."""
    mpp = inputs["analysis_mpp"]
    masks = {
        (row, column): sha256
        for row, column, sha256 in json.loads(blobs.read(inputs["masks"]["sha256"]))
    }
    _, width = grid_shape(on.pixels, mpp)
    cells, included = scored.cells, scored.included
    place = numbers(cells, on, mpp)
    slide = Open.of(cells, included, place, on.regions, on.protocol)
    reviewed = np.array(sorted(row * width + column for row, column in masks), np.int64)
    slide_survey = known or survey(on.pixels, document.settings_of(on.protocol).vectors)
    learned = places_in_tumour(on, masks, mpp)
    before = [proposed(on, each, inputs, slide_survey) for each in learned]
    looked_at = np.array([row * width + column for row, column in learned], np.int64)
    seen = transitions(
        Cells.join(before, cells.mpp).relabelled(on.protocol),
        cells.take(included & np.isin(place, looked_at)),
        on.protocol,
    )
    stop = stopping.rule(
        scored.document,
        on.protocol,
        slide,
        ~np.isin(slide.place, reviewed),
        shipped(),
        seen=seen,
    )
    listed = [[int(each) // width, int(each) % width] for each in stop.places[:MOST_LISTED]]
    return {
        "met": stop.met,
        "confidence": stop.confidence,
        "enough": ENOUGH,
        "after_them": stop.after_them,
        "could_become": list(stop.chances),
        "chances": dict(stop.chances),
        "intervals": [
            {"test": test, "low": low, "high": high} for test, (low, high) in stop.intervals.items()
        ],
        "places": listed,
        "places_left": len(stop.places),
        "places_reviewed": len(masks),
        "learned_from": len(learned),
        "bank_sha256": shipped().sha256,
        "text": sentence(stop, scored.document),
    }


def numbers(cells: Cells, on: Opened, analysis_mpp: float) -> npt.NDArray[np.int64]:
    """Number the patch in which each cell lies, row by row: (n,)."""
    side0 = PATCH_PX * scale(on.pixels.mpp, analysis_mpp)
    row, column = (np.floor(each / side0).astype(np.int64) for each in (cells.y, cells.x))
    return row * grid_shape(on.pixels, analysis_mpp)[1] + column


def places_in_tumour(on: Opened, masks: Iterable[Place], analysis_mpp: float) -> list[Place]:
    """Choose corrected places to learn from: in the tumour, evenly spread."""
    inside = []
    for row, column in sorted(masks):
        box = patch_region(on.pixels, row, column, analysis_mpp)
        if on.regions.touches((box.x, box.y, box.x + box.width, box.y + box.height)):
            inside.append((row, column))
    return spread(inside, 1, MOST_LEARNED)


def proposed(on: Opened, place: Place, inputs: Inputs, known: Survey) -> Cells:
    """Return a place's cells in the tumour as they are on the model's own masks."""
    settings = document.settings_of(on.protocol)
    key = (
        inputs["slide"]["sha256"],
        inputs["model"]["prediction_sha256"],
        inputs["analysis_mpp"],
        json.dumps(inputs.get("detector"), sort_keys=True),
        repr((settings.vectors, settings.contrast, settings.cutoffs.c_full, known.white)),
        place,
    )
    if key not in _proposed:
        box = patch_region(on.pixels, *place, inputs["analysis_mpp"])
        whole = shapely.box(box.x, box.y, box.x + box.width, box.y + box.height)
        _proposed[key] = measure(
            on.pixels,
            on.masks.proposed(),
            regions=Regions.of([whole], slide=on.pixels),
            settings=settings,
            detector=on.detector,
            workers=1,
            known=known,
            judge_focus=False,
        ).cells
    _proposed.move_to_end(key)
    while len(_proposed) > _KEPT:
        _proposed.popitem(last=False)
    cells = _proposed[key]
    return cells.take(on.regions.holds(cells.x, cells.y))


def sentence(stop: Stop, score: Mapping[str, Any]) -> str:
    """Say it in a reader's words."""
    now, enough = score["printed_score"], f"{100 * ENOUGH:.0f} %"
    if stop.confidence is None or stop.after_them is None:
        return "There is no category yet, so nothing can be said of what would change it."
    sure = f"{100 * stop.confidence:.0f} %"
    if stop.met:
        return (
            f"The rule to stop is met: whatever the places that nobody has reviewed may hold, the "
            f"category stays {now} with {sure} confidence."
        )
    could = " or ".join(stop.chances) or "another category"
    count = len(stop.places)
    if not count:
        return (
            f"The rule to stop is not met: {now} stands with {sure} confidence, could become "
            f"{could}, and no mask that is left to review would decide it. Look at the tumour's "
            "border and at single cells."
        )
    places = "This 1 place" if count == 1 else f"These {count} places"
    them = "it" if count == 1 else "them"
    if stop.after_them >= ENOUGH:
        return (
            f"{places} could change {now} to {could}; after {them} none can with {enough} "
            "confidence."
        )
    return (
        f"{places} could change {now} to {could}; after {them} it would stand with "
        f"{100 * stop.after_them:.0f} % confidence, short of {enough}."
    )
