"""HER2 scores of real cores and fields beside the category in their names, and negative controls.

`python -m benchmarks.her2_real [--into DIR] [--cold-start | --model FILE]` reads
MEMBRANA_TEST_DATA; masks are the shipped starter's (which was taught on crops of some of these
cores, not on the fields), the stain rule's or a model's, nuclei the shipped network's; thresholds
are the protocol's start values, nothing is calibrated. `--into` keeps documents, cells and a figure
of each image, and in its folder `disagreements` one that says what each disagreement is. These hold
other people's pictures: they are not for the repository. What the labels are worth:
docs/her2_validation.md.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.record import record
from models.her2.classes import SCORES
from models.her2.figures import disagreement
from models.starter import weights_path
from worker.commands.image_files import read_picture
from worker.commands.score_files import write_picture
from worker.commands.scoring import rules_of, score_picture
from worker.commands.sources import Source, source_of

DATA = Path(os.environ.get("MEMBRANA_TEST_DATA", "../shared/data")).resolve()
CORE_MPP, FIELD_MPP, KI67_MPP = 0.22, 0.25, 0.25
"""µm per pixel, nominal: the cores' source says 40x, the fields' camera says nothing."""
BLANK_PX, PANEL_PX = 2048, 512
NUCLEAR, BLANK = "nuclear Ki67", "blank"


@dataclass(frozen=True)
class Case:
    """An image, the category in its name (empty: there is none) and what it is."""

    path: str
    given: str
    kind: str
    mpp: float | None
    name: str = ""


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
    nuclear = [
        Case(f"ihc_nuclear_deepliif/{name}", "", NUCLEAR, KI67_MPP)
        for name in ("22_2_ihc.png", "6_2_ihc.png")
    ]
    return [*cores, *slides, *fields, *nuclear]


def controls_written(folder: Path) -> list[Case]:
    """Write the controls that no file is: the third nuclear image's first panel, glass, white."""
    with Image.open(DATA / "ihc_nuclear_deepliif/Bladder1.png") as opened:
        panel = np.asarray(opened.convert("RGB").crop((0, 0, PANEL_PX, PANEL_PX)))
    with Image.open(next(iter(sorted((DATA / "her2_tma_jpeg").glob("*.jpg"))))) as opened:
        corner = np.asarray(opened.convert("RGB").crop((0, 0, 128, 128)))
    tiles = BLANK_PX // len(corner)
    written: list[Case] = []
    for name, pixels, kind, mpp in (
        ("ihc_nuclear_deepliif/Bladder1.png, first panel", panel, NUCLEAR, KI67_MPP),
        ("glass beside a core", np.tile(corner, (tiles, tiles, 1)), BLANK, CORE_MPP),
        ("white", np.full((BLANK_PX, BLANK_PX, 3), 255, np.uint8), BLANK, CORE_MPP),
    ):
        path = folder / f"control_{len(written)}.png"
        Image.fromarray(pixels).save(path)
        written.append(Case(str(path), "", kind, mpp, name))
    return written


def given_by(name: str) -> str:
    return next((score for word, score in WORDS.items() if f"_{word}" in name), "")


def scored(case: Case, rules: Any, source: Source, into: Path | None) -> dict[str, Any]:
    """Score one image as `membrana score` does; keep its files if asked to."""
    picture = read_picture(DATA / case.path, case.mpp)
    result = score_picture(picture, rules, source)
    if into is not None:
        document = {"image": picture.path.name, **result.document}
        write_picture(picture, result, document, into)
        if case.given and steps_apart(case.given, result.document["score"]):
            path = into / "disagreements" / f"{picture.path.stem}.png"
            path.parent.mkdir(exist_ok=True)
            disagreement(picture.pixels, result.membrane, result.cells, document, case.given, path)
    return row(case, result.document)


def row(case: Case, document: dict[str, Any]) -> dict[str, Any]:
    names = ("stained", "intense_complete", "weak_moderate_complete", "moderate_intense_incomplete")
    return {
        "image": case.name or case.path,
        "sha256": document["provenance"]["image_sha256"],
        "kind": case.kind,
        "mpp": case.mpp or "of the file",
        "given": case.given or None,
        "computed": document["score"],
        "reason": document["reason"],
        "cells": document["cells"],
        "membrane_percent_of_tissue": document.get("membrane_percent_of_tissue"),
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


def controls(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is called membrane where there is none; cells of the small images taken together."""
    by_kind = {}
    for kind in (NUCLEAR, BLANK):
        some = [each for each in rows if each["kind"] == kind]
        cells = sum(each["cells"] for each in some)
        stained = sum(each["cells"] * (each["percent"]["stained"] or 0) / 100 for each in some)
        by_kind[kind] = {
            "membrane_percent_of_tissue": {
                each["image"]: each["membrane_percent_of_tissue"] for each in some
            },
            "cells": cells,
            "stained_percent": round(100 * stained / cells, 2) if cells else None,
            "not_assessable": sum(each["computed"] not in SCORES for each in some),
            "images": len(some),
        }
    return by_kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="keep documents, cells and figures here")
    parser.add_argument("--model", type=Path, help="weights that draw the masks")
    parser.add_argument("--cold-start", action="store_true", help="the stain rule draws them")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"{DATA} is not there: set MEMBRANA_TEST_DATA to the folder of public sets.")
    if arguments.into:
        arguments.into.mkdir(parents=True, exist_ok=True)
    rules = rules_of("asco_cap_2023_breast", None, None, merge_zero_plus=False)
    rule = arguments.cold_start
    model = None if rule else arguments.model or weights_path()
    source = source_of(None, "255", model, proposal=rule, whole=True)
    rows = []
    with TemporaryDirectory() as temporary:
        for case in (*cases(), *controls_written(Path(temporary))):
            row = scored(case, rules, source, arguments.into)
            rows.append(row)
            share = row["membrane_percent_of_tissue"]
            percent = "    –" if share is None else f"{share:5.2f}"
            verdict = f"{row['computed']:15} {row['reason']}"
            print(f"{row['image']:52} {case.given:3} {percent} % membrane  {verdict}", flush=True)
    apart = [
        steps_apart(each["given"], each["computed"])
        for each in rows
        if each["given"] and each["reason"] != "mpp_missing"
    ]
    record(
        "her2_real",
        {
            "masks": "stain rule" if rule else str(arguments.model or "starter"),
            "agreement": {
                "images with a category": len(apart),
                "same": sum(each == 0 for each in apart),
                "one apart": sum(each == 1 for each in apart),
                "more apart": sum(each is not None and each > 1 for each in apart),
                "not assessable": sum(each is None for each in apart),
            },
            "controls": controls(rows),
            "images": rows,
        },
    )


if __name__ == "__main__":
    main()
