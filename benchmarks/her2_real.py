"""HER2 scores of real cores and fields beside the category in their names, and negative controls.

`python -m benchmarks.her2_real [--into DIR] [--model FILE]` reads MEMBRANA_TEST_DATA; masks are the
stain rule's unless a model draws them, thresholds are the protocol's start values, nothing is
calibrated or tuned. `--into` keeps documents, cells and a figure of each image (the pictures are
other people's: not for the repository). What the labels are worth: docs/her2_validation.md.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.record import record
from models.her2.classes import SCORES

DATA = Path(os.environ.get("MEMBRANA_TEST_DATA", "../shared/data")).resolve()
CORE_MPP, FIELD_MPP, KI67_MPP = 0.22, 0.25, 0.25
"""µm per pixel, nominal: the cores' source says 40x, the fields' camera says nothing."""
BLANK_PX = 2048


@dataclass(frozen=True)
class Case:
    """An image, the category in its name (empty: there is none) and what it is."""

    path: str
    given: str
    kind: str
    mpp: float | None


WORDS = {"Cero": "0", "Uno": "1+", "Dos": "2+", "Tres": "3+"}


def cases() -> list[Case]:
    cores = [
        Case(f"her2_tma_jpeg/{path.name}", f"{path.name[0]}+".replace("0+", "0"), "core", CORE_MPP)
        for path in sorted((DATA / "her2_tma_jpeg").glob("*.jpg"))
    ]
    slides = [
        Case("wsi_her2/tma_0_nompp.svs", "0", "core", None),
        Case("wsi_her2/tma_0_nompp.svs", "0", "core", CORE_MPP),
        Case("wsi_her2/tma_1plus_generic_mpp.tif", "1+", "core", None),
        Case("wsi_her2/tma_3plus.svs", "3+", "core", None),
    ]
    fields = [
        Case(f"her2_fields/{path.name}", given_by(path.stem), "field", FIELD_MPP)
        for path in sorted((DATA / "her2_fields").iterdir())
    ]
    controls = [
        Case(f"ihc_nuclear_deepliif/{name}", "", "nuclear Ki67", KI67_MPP)
        for name in ("22_2_ihc.png", "6_2_ihc.png")
    ]
    return [*cores, *slides, *fields, *controls]


def given_by(name: str) -> str:
    return next((score for word, score in WORDS.items() if f"_{word}" in name), "")


def blank(folder: Path) -> Path:
    """Write the glass beside a core: its brightest colour with the noise of its own corner."""
    path = next(iter(sorted((DATA / "her2_tma_jpeg").glob("*.jpg"))))
    with Image.open(path) as opened:
        corner = np.asarray(opened.convert("RGB").crop((0, 0, 128, 128)))
    tiles = BLANK_PX // len(corner)
    made = folder / "blank.png"
    Image.fromarray(np.tile(corner, (tiles, tiles, 1))).save(made)
    return made


def scored(path: Path, mpp: float | None, into: Path, model: Path | None) -> dict[str, Any]:
    """Run `membrana score` on one image, as anyone would."""
    masks = ["--model", str(model)] if model else ["--proposal"]
    command = [sys.executable, "-m", "worker.cli", "score", str(path), *masks, "-o", str(into)]
    command += ["--mpp", str(mpp)] if mpp else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (document,) = json.loads(done.stdout)
    return document


def row(case: Case, document: dict[str, Any]) -> dict[str, Any]:
    names = ("stained", "intense_complete", "weak_moderate_complete", "moderate_intense_incomplete")
    return {
        "image": case.path,
        "sha256": document["provenance"]["image_sha256"],
        "kind": case.kind,
        "mpp": case.mpp or "of the file",
        "given": case.given or None,
        "computed": document["score"],
        "reason": document["reason"],
        "cells": document["cells"],
        "percent": {name: document["percent"][name]["value"] for name in names},
        "probability": document["probability"],
        "flags": [flag["code"] for flag in document["flags"]],
    }


def steps_apart(given: str, computed: str) -> float | None:
    """Return how many categories lie between, 0 and 0+ being one of the guideline's."""
    if computed not in SCORES:
        return None
    merged = {"0": 0, "0+": 0, "1+": 1, "2+": 2, "3+": 3}
    return abs(merged[given] - merged[computed])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="keep documents, cells and figures here")
    parser.add_argument("--model", type=Path, help="weights that draw the masks")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"{DATA} is not there: set MEMBRANA_TEST_DATA to the folder of public sets.")
    rows = []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = [(case, DATA / case.path) for case in cases()]
        paths.append((Case("glass beside a core", "", "blank", CORE_MPP), blank(folder)))
        for case, path in paths:
            into = arguments.into or folder
            into.mkdir(parents=True, exist_ok=True)
            found = row(case, scored(path, case.mpp, into, arguments.model))
            rows.append(found)
            print(f"{case.path:52} {case.given:3} {found['computed']:15} {found['reason']}")
    apart = [
        steps_apart(each["given"], each["computed"])
        for each in rows
        if each["given"] and each["reason"] != "mpp_missing"
    ]
    record(
        "her2_real",
        {
            "masks": str(arguments.model or "stain rule"),
            "agreement": {
                "images with a category": len(apart),
                "same": sum(each == 0 for each in apart),
                "one apart": sum(each == 1 for each in apart),
                "more apart": sum(each is not None and each > 1 for each in apart),
                "not assessable": sum(each is None for each in apart),
            },
            "images": rows,
        },
    )


if __name__ == "__main__":
    main()
