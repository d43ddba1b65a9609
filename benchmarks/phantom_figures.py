"""Figures of scored phantoms: categories, percentages and single cells, found against true."""

from typing import Any

import numpy as np
from scipy.stats import binomtest

from models.her2.classes import CLASSES, SCORES

GROUPS = {
    "intense complete": (8,),
    "weak to intense complete": (4, 6, 8),
    "moderate or intense incomplete": (5, 7),
    "faint": (1, 2, 3),
    "stained": tuple(range(1, 9)),
}


def judged(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Category and percentages of one way of scoring."""
    pairs = [(row["truth"]["score"], row[name]["score"]) for row in rows]
    right = sum(given == computed for given, computed in pairs)
    low, high = binomtest(right, len(rows)).proportion_ci(method="wilson")
    truth = np.array([row["truth"]["counts"] for row in rows], float)
    computed = np.array([row[name]["counts"] for row in rows], float)
    errors = {}
    for group, columns in GROUPS.items():
        share = [100 * c[:, columns].sum(axis=1) / c.sum(axis=1) for c in (truth, computed)]
        away = share[1] - share[0]
        errors[group] = {"bias": round(away.mean(), 2), "sd": round(away.std(), 2)}
    return {
        "right": right,
        "share": round(right / len(rows), 4),
        "wilson_95": [round(low, 4), round(high, 4)],
        "confusion": {
            given: {computed: pairs.count((given, computed)) for _, computed in sorted(set(pairs))}
            for given in SCORES
        },
        "percent_error": errors,
        "ultralow_read_as_null": ultralow_read_as_null(pairs),
        "cells": cells_of(rows, name),
        "wrong": [
            [row["number"], *pair]
            for row, pair in zip(rows, pairs, strict=True)
            if len(set(pair)) > 1
        ],
    }


def ultralow_read_as_null(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """How many of those that are 0+ are called 0, with Wilson's 95 %."""
    computed = [each for given, each in pairs if given == "0+"]
    if not computed:
        return {"hits": 0, "n": 0, "wilson_95": None}
    hits = computed.count("0")
    low, high = binomtest(hits, len(computed)).proportion_ci(method="wilson")
    return {"hits": hits, "n": len(computed), "wilson_95": [round(low, 4), round(high, 4)]}


def blanks(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Limit of blank: percent of the negative controls' cells that are called stained."""
    measured = [row["blank_percent"] for row in rows if row["blank_percent"]]
    return {
        "controls": len(measured),
        **{
            name: {
                "median_percent": round(float(np.median(shares)), 3),
                "percentile_95": round(float(np.percentile(shares, 95)), 3),
                "most": max(shares),
            }
            for name in ("start", "calibrated")
            if (shares := [each[name] for each in measured])
        },
    }


def cells_of(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Single cells: how many of the true ones are found, and as what."""
    table = np.sum([row[name]["confusion"] for row in rows], axis=0)
    true, computed = (sum(sum(row[of]["counts"]) for row in rows) for of in ("truth", name))
    return {
        "true": true,
        "found": computed,
        "matched": int(table.sum()),
        "class_right": round(float(np.trace(table) / table.sum()), 4),
        "confusion_percent_of_true_class": {
            given: dict(
                zip(CLASSES, (100 * line / max(line.sum(), 1)).round(1).tolist(), strict=True)
            )
            for given, line in zip(CLASSES, table, strict=True)
        },
    }
