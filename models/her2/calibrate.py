"""Thresholds from control tissue: absolute optical density does not carry over to other labs.

Percentiles of her2.md §3.7, taken from a laboratory's own controls: negative, 1+ and 3+. The file
is what `models.her2.protocols.read_calibration` reads.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.her2.cells import Cells
from models.her2.protocols import CALIBRATION_SCHEMA, Protocol
from models.stain import StainVectors

Float = npt.NDArray[np.float32]

LEAST_CELLS = 100
LEAST_FAINT = 0.05
"""A control without any stain still leaves the camera's noise: no threshold below this."""
LEAST_NULLS = 20


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
    found = (faint, weak, (weak + intense) / 2, intense)
    names = ("t_faint", "t_weak", "t_moderate", "t_intense")
    return {name: round(value, 4) for name, value in zip(names, found, strict=True)}


def detection_floor(nulls: Sequence[Cells], protocol: Protocol) -> dict[str, int] | None:
    """Return the limit of blank as a floor: the 95th percentile of the stained share, in permille.

    None for fewer than 20 slides known to be negative: the protocol's own floor stands.
    """
    if len(nulls) < LEAST_NULLS:
        return None
    shares = [len(_stained(cells, protocol)) / max(1, len(cells)) for cells in nulls]
    permille = int(np.ceil(1000 * float(np.percentile(shares, 95))))
    return {"permille": max(permille, protocol.floor_permille), "cells": protocol.floor_cells}


def youden(values: Float, positive: npt.NDArray[np.bool_]) -> float:
    """Return the cut at which sensitivity + specificity is largest (Youden 1950).

    For c_any and c_full, from cells whose contour a person judged: values and verdicts (n,).
    """
    if not positive.any() or positive.all():
        raise CalibrationError("Cells of both kinds are needed to place a cut.")
    order = np.argsort(values)
    hit = np.cumsum(positive[order][::-1])[::-1] / positive.sum()
    false = np.cumsum(~positive[order][::-1])[::-1] / (~positive).sum()
    gain = hit - false
    gain[1:][np.diff(values[order]) == 0] = -1  # a cut can't stand between equals
    return float(values[order][int(np.argmax(gain))])


def document(
    protocol: Protocol,
    found: dict[str, float],
    *,
    on: str,
    stain: StainVectors | None = None,
    floor: dict[str, int] | None = None,
    controls: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the calibration as JSON types; `on` is the day (ISO), `controls` a note of files."""
    said: dict[str, Any] = {
        "schema": CALIBRATION_SCHEMA,
        "protocol": protocol.name,
        "on": on,
        "thresholds": found,
        "controls": controls or {},
    }
    if stain is not None:
        said["stain"] = {"haematoxylin": list(stain.haematoxylin), "dab": list(stain.dab)}
    if floor is not None:
        said["floor"] = floor
    return said


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
