"""What `membrana calibrate` measures on a laboratory's control tissue, and what it notes of it."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from worker.commands.image_files import Picture, read_picture, remark_on
from worker.commands.options import Refused
from worker.commands.scoring import measured, prepared
from worker.commands.sources import Source, check_names

STANDARD_VECTORS = (
    "The stain vectors could not be measured on the 3+ control (too little brown, or too little "
    "blue): the standard ones are used, here and in scoring."
)


def calibration_of(
    paths: Mapping[str, Sequence[Path]],
    rules: Any,
    source: Source,
    mpp: float | None,
    assay: Mapping[str, str],
) -> dict[str, Any]:
    """Return the calibration file's content from controls negative, low, strong and blank.

    assay: scanner and antibody, for which the thresholds hold. What had to be done without is
    said in `notes`. Raises CalibrationError and Refused.
    """
    from models.her2 import calibrate
    from models.her2.cells import Cells
    from models.stain import StainVectors
    from worker.her2.detector import of_detector
    from worker.her2.measurement import software

    calibrate.check_blanks(len(paths["blank"]))
    if source.masks is not None:
        check_names([path for some in paths.values() for path in some], source)
    vectors = calibrate.laboratory_vectors(
        read_picture(path, mpp).pixels for path in paths["strong"]
    )
    cells: dict[str, list[Any]] = {name: [] for name in paths}
    used: dict[str, list[dict[str, Any]]] = {name: [] for name in paths}
    by_content: dict[tuple[bool, str], Path] = {}
    for name, some in paths.items():
        for path in some:
            picture = read_picture(path, mpp)
            remark_on(picture)
            check_new(picture, by_content, blank=name == "blank")
            ready = prepared(picture, source)
            picture_cells = measured(ready, rules, vectors or StainVectors())
            cells[name].append(picture_cells)
            used[name].append(
                {
                    "file": path.name,
                    "sha256": picture.sha256,
                    "mask_sha256": ready.mask_sha256,
                    "mpp": picture.mpp,
                    "cells": len(picture_cells),
                }
            )
    negative, low, strong = (
        Cells.join(cells[name], cells[name][0].mpp) for name in ("negative", "low", "strong")
    )
    return calibrate.document(
        rules,
        calibrate.thresholds(negative, low, strong, rules),
        on=datetime.now(UTC).date().isoformat(),
        stain=vectors,
        floor=calibrate.detection_floor(cells["blank"], rules),
        record={
            **assay,
            "masks": source.words,
            "weights_sha256": source.weights_sha256,
            **of_detector(source.frozen_detector),
            "controls": used,
            "software": software(),
            "notes": [] if vectors else [STANDARD_VECTORS],
        },
    )


def check_new(picture: Picture, by_content: dict[tuple[bool, str], Path], *, blank: bool) -> None:
    """Refuse a picture that is two controls, or twice one; a negative control may be a blank."""
    other = by_content.setdefault((blank, picture.sha256), picture.path)
    if other is not picture.path:
        raise Refused(
            f"{other} and {picture.path} are the same picture: each control needs its own.",
            code="controls",
        )


def doubts_on(calibration: Path | None, source: Source) -> list[str]:
    """Say if thresholds were measured on other masks or nuclei than those that are scored now.

    A calibration that does not name its masks (an older one) is doubted, too; one that does not
    name its detector had the built-in rule.
    """
    from models.her2.protocols import detector_in
    from worker.her2.detector import doubt_on

    if calibration is None:
        return []
    document = json.loads(calibration.read_text())
    detectors = doubt_on(detector_in(document), source.frozen_detector)
    other = [f"{calibration.name}: {detectors}"] if detectors else []
    masks, weights = document.get("masks"), document.get("weights_sha256")
    # weights draw the same membranes on every backend; a version of the stain rule's library, too
    kinds = [str(each).split(" ")[0] for each in (masks, source.words)]
    if weights == source.weights_sha256 and (weights or kinds[0] == kinds[1]):
        return other
    then = f"{masks or 'an unnamed source'}{' with other weights' if weights else ''}"
    doubt = f"{calibration.name} was measured on masks from {then}, now they are from "
    return [f"{doubt}{source.words}: its thresholds may not hold. Calibrate anew.", *other]
