"""Figures of simulated readers: right at the moment of stopping, corrections, coverage; rivals."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from models.her2.classes import SCORES

Row = dict[str, Any]
Step = dict[str, Any]


def rows_of(work: Path, part: str) -> list[Row]:
    paths = sorted(work.glob(f"{part}.*.json"))
    return [json.loads(path.read_text()) for path in paths]


def figures(work: Path) -> dict[str, Any]:
    """Return the table: what chose the width, and what judged the chosen one."""
    choosing, judging = rows_of(work, "choose"), rows_of(work, "judge")
    return {
        "bank": bank_of(work),
        "choose": {
            "phantoms": len(choosing),
            "numbers": numbers(choosing),
            "by_width": {
                width: of_reader(choosing, width, "rule") for width in widths_of(choosing)
            },
        },
        "judge": judged(judging),
    }


def bank_of(work: Path) -> dict[str, Any]:
    rows = rows_of(work, "bank")
    return {"phantoms": len(rows), "numbers": numbers(rows)}


def numbers(rows: list[Row]) -> list[int]:
    return [rows[0]["number"], rows[-1]["number"]] if rows else []


def widths_of(rows: list[Row]) -> list[str]:
    return list(rows[0]["by_width"]) if rows else []


def judged(rows: list[Row]) -> dict[str, Any]:
    """Return the judging phantoms' figures: the rule and its rivals."""
    if not rows:
        return {"phantoms": 0}
    [width] = widths_of(rows)
    spent = [len(steps(row, width, "rule")) - 1 for row in rows]
    return {
        "phantoms": len(rows),
        "numbers": numbers(rows),
        "width": float(width),
        "calibrated": sum(row["calibrated"] for row in rows),
        "places": summary([row["places"] for row in rows]),
        "readers": {
            "rule": of_reader(rows, width, "rule"),
            "rule, places at random": of_reader(rows, width, "random"),
            "at random, as many as the rule": as_many(rows, width, spent),
            "reads everything": everything(rows),
            "stops at once": at_once(rows, width),
        },
        "by_true_category": {
            score: of_reader(chosen, width, "rule")
            for score in SCORES
            if (chosen := [row for row in rows if row["true"] == score])
        },
        "coverage": {
            name: coverage(rows, width, when)
            for name, when in (("before any correction", 0), ("when stopping", -1))
        },
        "wrong": [
            [row["number"], row["true"], row["everything"], last(row, width)["score"]]
            for row in rows
            if last(row, width)["score"] != row["true"]
        ],
    }


def steps(row: Row, width: str, name: str) -> list[Step]:
    read: list[Step] = row["by_width"][width][name]["steps"]
    return read


def last(row: Row, width: str, name: str = "rule") -> Step:
    return steps(row, width, name)[-1]


def of_reader(rows: list[Row], width: str, name: str) -> dict[str, Any]:
    ends = [last(row, width, name) for row in rows]
    return {
        **right([(row, end["score"]) for row, end in zip(rows, ends, strict=True)]),
        "corrections": summary([len(steps(row, width, name)) - 1 for row in rows]),
        "not_met": sum(not end["met"] for end in ends),
    }


def as_many(rows: list[Row], width: str, spent: list[int]) -> dict[str, Any]:
    """Return a reader of so many places at random; where the rule was met before, it had ended."""
    chosen = [
        (row, steps(row, width, "random")[: count + 1][-1]["score"])
        for row, count in zip(rows, spent, strict=True)
    ]
    return {**right(chosen), "corrections": summary(spent)}


def everything(rows: list[Row]) -> dict[str, Any]:
    return {
        **right([(row, row["everything"]) for row in rows]),
        "corrections": summary([row["places"] for row in rows]),
    }


def at_once(rows: list[Row], width: str) -> dict[str, Any]:
    first = [(row, steps(row, width, "rule")[0]["score"]) for row in rows]
    return {**right(first), "corrections": summary([0] * len(rows))}


def right(pairs: Iterable[tuple[Row, str]]) -> dict[str, Any]:
    """Return how often a category is the drawn one, and that of reading everything."""
    given = list(pairs)
    out: dict[str, Any] = {}
    for name in ("true", "everything"):
        hits = sum(row[name] == score for row, score in given)
        low, high = binomtest(hits, len(given)).proportion_ci(method="wilson")
        out[f"as_{name}"] = hits
        out[f"as_{name}_percent"] = round(100 * hits / len(given), 1)
        out[f"as_{name}_wilson_95"] = [round(100 * low, 1), round(100 * high, 1)]
    return out


def summary(values: list[int]) -> dict[str, Any]:
    quartiles = np.percentile(values, [25, 50, 75])
    low, median, high = (round(float(each), 1) for each in quartiles)
    return {"median": median, "quartiles": [low, high], "mean": round(float(np.mean(values)), 1)}


def coverage(rows: list[Row], width: str, when: int) -> dict[str, Any]:
    """Return how often the 95 % interval of a test's share holds what reading everything gives."""
    holds = []
    for row in rows:
        for test, (low, high) in steps(row, width, "rule")[when]["intervals"].items():
            holds.append(low - 1e-3 <= row["shares"][test] <= high + 1e-3)
    share = round(100 * float(np.mean(holds)), 1) if holds else None
    return {"intervals": len(holds), "hold_percent": share}
