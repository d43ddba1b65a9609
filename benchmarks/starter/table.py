"""Choose on the folds that may choose, judge once on the other, and write what came of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import record
from benchmarks.starter.judging import pooled
from benchmarks.starter.rows import COLD_START, ROWS
from benchmarks.starter.sources import FOLDS, MEMBRANE, fold_of, inputs
from benchmarks.starter.trials import OF_OTHER_LICENCE, ONCE, SQUARED, Trial, pair, trials

STARTERS = tuple(name for name in ROWS if name.startswith("eugmt-plus"))
"""Rows that may be shipped: two second opinions tell the queue where to look, labels alone give
none, and a round goes on from the same method."""


def chosen_on(row: str, fold: str, folder: Path) -> float:
    """Return the mean Dice on the other two folds than this one, which may choose for it.

    Each of them is predicted by a training that saw neither it nor the fold.
    """
    dices = []
    for other in FOLDS:
        if other != fold:
            trial = Trial(row, pair(fold, other), folder)
            dices.append(pooled(fold_of(other), trial.predicted(other)).dice)
    return float(np.mean(dices))


def judged(trial: Trial, fold: str, views: str = ONCE) -> dict[str, Any]:
    """Return a training's figures on a fold that did not teach it."""
    crops = fold_of(fold)
    probability = trial.predicted(fold, views)
    stained = [number for number, crop in enumerate(crops) if (crop.mask == MEMBRANE).any()]
    empty = [number for number in range(len(crops)) if number not in stained]
    figures: dict[str, Any] = {
        "without": list(trial.folds),
        **pooled(crops, probability).document(),
        "without_rules": pooled(crops, probability, ruled=False).document(),
    }
    for part, numbers in (("stained", stained), ("empty", empty)):
        own = [crops[number] for number in numbers]
        figures[part] = pooled(own, probability[numbers]).document()
    return figures | trial.facts()


def taught_by_one(row: str, fold: str, folder: Path) -> list[Trial]:
    """Return the two trainings that a single source with membranes taught, without the fold."""
    return [Trial(row, pair(fold, other), folder) for other in FOLDS if other != fold]


def on_fold(row: str, fold: str, folder: Path) -> dict[str, Any]:
    """Return all that is known of a row on a fold: `mean` is of the trainings by one source."""
    ones = [judged(trial, fold) for trial in taught_by_one(row, fold, folder)]
    figures: dict[str, Any] = {"by_one_source": ones, "mean": means(ones)}
    if row != COLD_START and ROWS[row].network:
        views = [judged(trial, fold, SQUARED) for trial in taught_by_one(row, fold, folder)]
        figures["mean_of_eight_views"] = means(views)
    both = Trial(row, (fold,), folder)
    if row != COLD_START and both.done:
        figures["by_two_sources"] = judged(both, fold)
    return figures


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return mean figures, the Dice without the stain rules, and what the empty crops get."""
    figures = {
        name: float(np.mean([row[name] for row in rows]))
        for name in ("dice", "near_dice", "near_precision", "near_recall")
    }
    plain = [row["without_rules"]["dice"] for row in rows]
    figures["dice_without_rules"] = float(np.mean(plain))
    shares = [row["empty"]["proposed_share"] for row in rows]
    figures["empty_proposed_share"] = float(np.mean(shares))
    return {name: round(value, 5) for name, value in figures.items()}


def complete(row: str, folder: Path) -> bool:
    """Say whether all trainings of a row that choose are there."""
    return all(trial.done for trial in trials([row], folder, judged=False))


def choice(fold: str, rows: Sequence[str], folder: Path) -> str:
    """Return the row with the highest Dice on the folds that may choose for this one."""
    return max(rows, key=lambda row: chosen_on(row, fold, folder))


def write(folder: Path) -> dict[str, Any]:
    """Write the results of all rows whose trainings are there, and return them."""
    rows = [row for row in (COLD_START, *ROWS) if complete(row, folder)]
    table = {row: {fold: on_fold(row, fold, folder) for fold in FOLDS} for row in rows}
    may = [row for row in STARTERS if row in rows]
    chosen = {fold: choice(fold, may, folder) for fold in FOLDS}
    document = {
        "folds": {name: list(sources) for name, sources in FOLDS.items()},
        "configurations": {name: ROWS[name].document() for name in rows if name != COLD_START},
        "rows": table,
        "validation": {
            row: {fold: round(chosen_on(row, fold, folder), 4) for fold in FOLDS} for row in rows
        },
        "chosen": chosen,
        "chosen_judged": {fold: table[row][fold]["mean"] for fold, row in chosen.items()},
        "mean": {row: mean_of_folds(table[row]) for row in rows},
        "inputs_sha256": dict(inputs()),
    }
    record("starter", document)
    return document


def to_ship(document: dict[str, Any], folder: Path, row: str | None = None) -> Trial:
    """Return the training whose weights are shipped: of the chosen row or another, by the 3+ core.

    A training by both cores would leave none of its own licence to be looked at on the way.
    """
    return Trial(
        row or document["chosen"][OF_OTHER_LICENCE], pair("core1_a", OF_OTHER_LICENCE), folder
    )


def mean_of_folds(folds: dict[str, Any]) -> dict[str, float]:
    names = folds[OF_OTHER_LICENCE]["mean"]
    return {
        name: round(float(np.mean([folds[fold]["mean"][name] for fold in FOLDS])), 5)
        for name in names
    }
