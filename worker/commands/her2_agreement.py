"""`membrana benchmark --her2`: computed HER2 categories against those that people gave."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.cli import say
from backend.progress import bar
from worker.commands.fields import content_of, of_her2, source_of
from worker.commands.options import Refused
from worker.commands.pictures import read_picture

PERCENTAGES = {"percent_intense_complete": "intense_complete", "percent_stained": "stained"}
"""Optional columns of true percentages, and the score document's name of each."""


def compare(
    table: Path,
    output: Path,
    *,
    masks: Path | None,
    positive: str,
    protocol: str,
    calibration: Path | None,
) -> None:
    """Score the images of a table and compare; writes and prints one JSON document.

    The table is a CSV of `image` (beside it) and `category`, and may have `patient`, `mpp`,
    `percent_intense_complete` and `percent_stained`: with these, percentages are compared, too
    (Bland-Altman, ICC(2,1), Deming). Without masks the stain rule draws them.
    """
    with of_her2():
        from models.her2.agreement import agreement, bland_altman, deming, icc
        from models.her2.protocols import load

        rules = load(protocol, calibration=calibration)
        source = source_of(masks, positive, None, proposal=masks is None)
        rows = rows_of(table)
        computed = []
        with bar("images", len(rows)) as show:
            for done, row in enumerate(rows, start=1):
                mpp = float(row["mpp"]) if row.get("mpp") else None
                picture = read_picture(table.parent / row["image"], mpp)
                content, _ = content_of(picture, rules, source, int(picture.sha256[:8], 16))
                computed.append(content)
                show(done, len(rows))
        try:
            found = agreement(
                [row["category"] for row in rows],
                [content["score"] for content in computed],
                [row.get("patient") or row["image"] for row in rows],
            )
        except ValueError as error:
            raise Refused(f"{table}: {error}.", code="table") from error
        truths = {
            name: truth_of(rows, computed, column, name) for column, name in PERCENTAGES.items()
        }
        told = {name: pairs for name, pairs in truths.items() if pairs[0]}
        found["bland_altman"] = {name: bland_altman(*pairs) for name, pairs in told.items()}
        found["icc_2_1"] = {
            name: icc(list(zip(*pairs, strict=True))) for name, pairs in told.items()
        }
        found["deming"] = {name: deming(*pairs) for name, pairs in told.items()}
    found |= {
        "research_use_only": computed[0]["research_use_only"],
        "protocol": computed[0]["protocol"],
        "masks": source.words,
        "images": [
            {
                "image": row["image"],
                "given": row["category"],
                "computed": content["score"],
                "reason": content["reason"],
                "cells": content["cells"],
                "flags": [flag["code"] for flag in content["flags"]],
            }
            for row, content in zip(rows, computed, strict=True)
        ],
    }
    text = json.dumps(found, indent=1)
    output.write_text(text + "\n")
    say(text)


def rows_of(table: Path) -> list[dict[str, str]]:
    """Read the table; Refused if it is not one."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{table} can't be read: {error}.", code="table") from error
    if not rows or not {"image", "category"} <= set(rows[0]):
        raise Refused(f"{table} needs rows of image and category.", code="table")
    for row in rows:
        for column in PERCENTAGES:
            if row.get(column) and not is_percentage(row[column]):
                raise Refused(
                    f"{table}: {column} of {row['image']} is {row[column]!r}, no percentage.",
                    code="table",
                )
    return rows


def truth_of(
    rows: Sequence[Mapping[str, str]],
    computed: Sequence[Mapping[str, Any]],
    column: str,
    name: str,
) -> tuple[list[float], list[float]]:
    """Return true and computed percentages of the images for which both are known."""
    pairs = [
        (float(row[column]), float(content["percent"][name]["value"]))
        for row, content in zip(rows, computed, strict=True)
        if row.get(column) and content["percent"][name]["value"] is not None
    ]
    return [given for given, _ in pairs], [found for _, found in pairs]


def is_percentage(said: str) -> bool:
    try:
        return 0 <= float(said) <= 100
    except ValueError:
        return False
