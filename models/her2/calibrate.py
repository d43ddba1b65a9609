"""Thresholds from control tissue: absolute optical density does not carry over to other labs.

Percentiles of her2.md §3.7, taken from a laboratory's own controls: negative, 1+ and 3+. The file
is what `models.her2.protocols.read_calibration` reads.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.her2.cells import Cells
from models.her2.protocols import CALIBRATION_SCHEMA, Protocol
from models.her2.slide_score import RESEARCH_USE_ONLY
from models.her2.white_point import measure_white
from models.stain import WHITE, StainVectors, estimate_vectors

Float = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]

LEAST_CELLS = 100
LEAST_FAINT = 0.05
"""A control without any stain still leaves the camera's noise: no threshold below this."""
LEAST_NULLS = 20
SAMPLED_PX = 500_000
"""Pixels that each 3+ control gives to the estimate of stain vectors."""


class CalibrationError(ValueError):
    """Controls that can't set thresholds; the text says which and why."""


def thresholds(negative: Cells, low: Cells, strong: Cells, protocol: Protocol) -> dict[str, float]:
    """Return t_faint … t_intense, log10 optical density, from cells of the three controls.

    faint: 99th percentile of the negative control's cells (0 for those without a stained contour);
    weak: 90th of the 1+ control's stained cells; intense: 25th of the 3+ control's complete cells;
    moderate: their middle. Raises CalibrationError.
    """
    for name, control in (("negative", negative), ("1+", low), ("3+", strong)):
        if len(control) < LEAST_CELLS:
            raise CalibrationError(
                f"The {name} control has {len(control)} cells; {LEAST_CELLS} are needed."
            )
    stained = _stained(low, protocol)
    complete = strong.intensity[strong.unshared >= protocol.c_full]
    if len(stained) < LEAST_CELLS // 4 or len(complete) < LEAST_CELLS // 4:
        raise CalibrationError(
            f"The 1+ control has {len(stained)} stained and the 3+ control {len(complete)} "
            f"completely stained cells: did the controls stain as they must?"
        )
    none = np.where(negative.unshared >= protocol.c_any, negative.intensity, 0)
    faint = max(LEAST_FAINT, float(np.percentile(none, 99)))
    weak = float(np.percentile(stained, 90))
    intense = float(np.percentile(complete, 25))
    if not faint < weak < intense:
        raise CalibrationError(
            "The controls do not follow each other: negative up to "
            f"{faint:.2f}, 1+ up to {weak:.2f}, 3+ from {intense:.2f}."
        )
    levels = (faint, weak, (weak + intense) / 2, intense)
    names = ("t_faint", "t_weak", "t_moderate", "t_intense")
    return {name: round(value, 4) for name, value in zip(names, levels, strict=True)}


def laboratory_vectors(strong: Iterable[Rgb]) -> StainVectors | None:
    """Return stain vectors of all 3+ controls, RGB (H, W, 3) each, or None if they can't be told.

    Each picture counts alike and is measured from its own glass.
    """
    pooled = []
    for image in strong:
        pixels = image.reshape(-1, 3)
        drawn = pixels[:: max(1, len(pixels) // SAMPLED_PX)]
        scale = np.asarray(WHITE) / np.asarray(measure_white(image) or WHITE)
        pooled.append(np.clip(np.rint(drawn * scale), 0, 255).astype(np.uint8))
    return estimate_vectors(np.concatenate(pooled), WHITE) if pooled else None


def check_blanks(number: int) -> None:
    """Refuse a few slides known to be negative: no floor can be measured on them."""
    if 0 < number < LEAST_NULLS:
        raise CalibrationError(
            f"{number} slides known to be negative are too few for a detection floor: "
            f"{LEAST_NULLS} are needed. Without any the protocol's own floor stands."
        )


def detection_floor(nulls: Sequence[Cells], protocol: Protocol) -> dict[str, int] | None:
    """Return the limit of blank as a floor: the 95th percentile of the stained share, in permille.

    None without slides known to be negative: the protocol's own floor stands. Raises
    CalibrationError for fewer than 20, or for one with too few cells to have a share.
    """
    if not nulls:
        return None
    check_blanks(len(nulls))
    if poor := [number for number, cells in enumerate(nulls, 1) if len(cells) < LEAST_CELLS]:
        raise CalibrationError(
            f"Of the slides known to be negative, number {', '.join(map(str, poor))} has fewer "
            f"than {LEAST_CELLS} cells."
        )
    shares = [len(_stained(cells, protocol)) / len(cells) for cells in nulls]
    permille = int(np.ceil(1000 * float(np.percentile(shares, 95))))
    return {"permille": max(permille, protocol.floor_permille), "cells": protocol.floor_cells}


def document(
    protocol: Protocol,
    levels: dict[str, float],
    *,
    on: str,
    stain: StainVectors | None = None,
    floor: dict[str, int] | None = None,
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the calibration as JSON types; `on` is the day (ISO).

    Without `stain` the standard vectors stand. `record`: what the numbers hold for and were
    measured on (scanner, antibody, masks, controls), kept beside them.
    """
    content: dict[str, Any] = {
        "schema": CALIBRATION_SCHEMA,
        "research_use_only": RESEARCH_USE_ONLY,
        "protocol": protocol.name,
        "on": on,
        "thresholds": levels,
        **(record or {}),
    }
    if stain is not None:
        content["stain"] = {"haematoxylin": list(stain.haematoxylin), "dab": list(stain.dab)}
    if floor is not None:
        content["floor"] = floor
    return content


def vectors_of(protocol: Protocol) -> StainVectors:
    """Return the laboratory's stain vectors, or the standard ones of an uncalibrated protocol.

    Never the slide's own: a slide without brown has no second direction to be measured. On 20
    phantoms with varied stains a slide's own vectors changed no category that the control's got
    right, and the control's took the residual from 0.016 to 0.004.
    """
    stain = protocol.calibration.stain if protocol.calibration else {}
    if not {"haematoxylin", "dab"} <= set(stain):
        return StainVectors()
    return StainVectors(stain["haematoxylin"], stain["dab"])


def _stained(cells: Cells, protocol: Protocol) -> Float:
    intensity = cells.intensity[cells.unshared >= protocol.c_any]
    return intensity[intensity > 0]
