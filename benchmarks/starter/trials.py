"""Trainings without some folds, judged there: each is kept in its folder and never done twice."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import numpy.typing as npt

from benchmarks.starter.rows import COLD_START, ROWS, cold_start, in_all_positions, predictor
from benchmarks.starter.sources import FOLDS, fold_of, sha256_of
from models.whole_file import whole_file

Float = npt.NDArray[np.float32]
OF_OTHER_LICENCE = "eze10"
"""The fold that holds all crops of other licences: trainings without it may be shipped."""
ONCE, SQUARED = "once", "square"


@dataclass(frozen=True)
class Trial:
    """A row's training without some folds: two of them while choices are made, one to be judged."""

    row: str
    folds: tuple[str, ...]
    folder: Path

    @property
    def shipped(self) -> bool:
        return OF_OTHER_LICENCE in self.folds

    @property
    def place(self) -> Path:
        return self.folder / self.row / "-".join(self.folds)

    @property
    def weights(self) -> Path:
        return self.place / "model.safetensors"

    def run(self) -> None:
        """Train and predict the crops of the folds that were held out, unless that is done."""
        if self.done:
            return
        began = process_time()
        path = ROWS[self.row].fit(self.folds, self.place, shipped=self.shipped)
        ask = predictor(path)
        for fold in self.folds:
            images = np.stack([crop.image for crop in fold_of(fold)])
            views = {ONCE: ask(images), SQUARED: in_all_positions(ask, images)}
            np.savez_compressed(self.place / f"{fold}.npz", allow_pickle=False, **views)
        facts = {"weights_sha256": sha256_of(path), "seconds": round(process_time() - began, 1)}
        with whole_file(self.place / "trial.json") as fresh:
            fresh.write_text(json.dumps(facts))

    @property
    def done(self) -> bool:
        return self.row == COLD_START or (self.place / "trial.json").is_file()

    def facts(self) -> dict[str, object]:
        if self.row == COLD_START:
            return {}
        facts: dict[str, object] = json.loads((self.place / "trial.json").read_text())
        return facts

    def predicted(self, fold: str, views: str = ONCE) -> Float:
        """Return the probabilities (N, 256, 256) of a fold's crops, in their order."""
        if self.row == COLD_START:
            return cold_start(np.stack([crop.image for crop in fold_of(fold)]))
        with np.load(self.place / f"{fold}.npz") as file:
            probability: Float = file[views]
        return probability


def pair(first: str, second: str) -> tuple[str, ...]:
    """Return two folds in the order in which they are always named."""
    return tuple(fold for fold in FOLDS if fold in {first, second})


def trials(rows: Sequence[str], folder: Path, *, judged: bool) -> list[Trial]:
    """Return the trainings that choose (without two folds), or those that are judged (one)."""
    names = list(FOLDS)
    without = (
        [(fold,) for fold in names]
        if judged
        else [
            pair(first, second)
            for number, first in enumerate(names)
            for second in names[number + 1 :]
        ]
    )
    return [Trial(row, folds, folder) for folds in without for row in rows]
