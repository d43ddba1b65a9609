"""Choose on the folds that may choose, judge once on the other, and write what came of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import record
from benchmarks.starter.judging import best_level, dice_by_level, pooled
from benchmarks.starter.rows import COLD_START, ROWS
from benchmarks.starter.sources import FOLDS, fold_of, inputs
from benchmarks.starter.trials import OF_OTHER_LICENCE, ONCE, SQUARED, Trial, pair

STARTERS = tuple(name for name in ROWS if name.startswith("eugmt-plus"))
"""Rows that may be shipped: two second opinions tell the queue where to look, labels alone give
none, and a round goes on from the same method."""


def chosen_on(row: str, fold: str, folder: Path, views: str = ONCE) -> tuple[float, float]:
    """Return the threshold for a fold, and the mean Dice there, of the other two alone.

    Each of them is predicted by a training that saw neither it nor the fold.
    """
    curves = []
    for other in FOLDS:
        if other != fold:
            trial = Trial(row, pair(fold, other), folder)
            curves.append(dice_by_level(fold_of(other), trial.predicted(other, views)))
    return best_level(curves)


def judged(row: str, fold: str, folder: Path, views: str = ONCE) -> dict[str, Any]:
    """Return a row's figures on a fold that neither taught it nor chose anything for it."""
    threshold, dice = chosen_on(row, fold, folder, views)
    trial = Trial(row, (fold,), folder)
    crops = fold_of(fold)
    probability = trial.predicted(fold, views)
    stained = [number for number, crop in enumerate(crops) if (crop.mask == 255).any()]
    empty = [number for number in range(len(crops)) if number not in stained]
    found: dict[str, Any] = {"threshold": threshold, "validation_dice": round(dice, 4)}
    for name, level in (("at_half", 0.5), ("at_threshold", threshold)):
        found[name] = pooled(crops, probability, level).document()
        for part, numbers in (("stained", stained), ("empty", empty)):
            own = [crops[number] for number in numbers]
            found[name][part] = pooled(own, probability[numbers], level).document()
    return found | trial.facts()


def complete(row: str, folder: Path) -> bool:
    """Say whether all trainings of a row are there."""
    if row == COLD_START:
        return True
    pairs = {pair(one, other) for one in FOLDS for other in FOLDS if one != other}
    wanted = [*pairs, *((fold,) for fold in FOLDS)]
    return all((folder / row / "-".join(each) / "trial.json").is_file() for each in wanted)


def choice(fold: str, rows: Sequence[str], folder: Path) -> str:
    """Return the row with the highest Dice on the folds that may choose for this one."""
    return max(rows, key=lambda row: chosen_on(row, fold, folder)[1])


def write(folder: Path, *, ship: bool) -> None:
    """Write the results of all rows whose trainings are complete; and ship, if that is asked."""
    rows = [row for row in (COLD_START, *ROWS) if complete(row, folder)]
    table = {}
    for row in rows:
        table[row] = {fold: judged(row, fold, folder) for fold in FOLDS}
        if row != COLD_START and ROWS[row].network:
            for fold in FOLDS:
                table[row][fold][SQUARED] = judged(row, fold, folder, SQUARED)["at_threshold"]
    may = [row for row in STARTERS if row in rows]
    chosen = {fold: choice(fold, may, folder) for fold in FOLDS} if may else {}
    document = {
        "folds": {name: list(sources) for name, sources in FOLDS.items()},
        "configurations": {
            name: {
                "mix": row.mix,
                "phantoms": row.phantoms,
                **({"training": row.config().document()} if row.network else {}),
            }
            for name, row in ROWS.items()
            if name in rows
        },
        "rows": table,
        "chosen": chosen,
        "chosen_judged": {fold: table[row][fold]["at_threshold"] for fold, row in chosen.items()},
        "mean": {row: means(table[row]) for row in rows},
        "inputs_sha256": dict(inputs()),
    }
    record("starter", document)
    if ship:
        from benchmarks.starter.shipping import ship as shipped

        row = chosen[OF_OTHER_LICENCE]
        shipped(Trial(row, (OF_OTHER_LICENCE,), folder), document)


def means(folds: dict[str, Any]) -> dict[str, float]:
    """Return the means over folds of what is judged at the threshold that others chose."""
    names = ("dice", "near_dice", "near_precision", "near_recall")
    return {
        name: round(float(np.mean([folds[fold]["at_threshold"][name] for fold in FOLDS])), 4)
        for name in names
    }


def results() -> dict[str, Any]:
    """Read what `write` wrote."""
    path = Path(__file__).parents[1] / "results" / "starter.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found
