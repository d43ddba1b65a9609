"""The rows of the starter's table: what learns, from which images, and how it predicts."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.own_slide import Pixels
from benchmarks.starter.lessons import Lessons, mixed, plain
from models import pixel_classifier
from models.cold_start import ColdStart
from models.inference.averaging import SQUARE
from models.networks import load_ensemble
from models.semisup.eugmt_options import EugmtOptions
from models.study.runs import predict
from models.training import PRESETS, TrainingConfig, preset, train

Predict = Callable[[Pixels], npt.NDArray[np.float32]]
SEED = 0
COLD_START = "cold-start"


@dataclass(frozen=True)
class Row:
    """A way to get a model. preset: of a network's training, or the kind of a pixel classifier.

    mix: whether images are balanced, resized and joined by negative tissue; phantoms: mixed in.
    """

    name: str
    preset: str
    mix: bool = False
    phantoms: bool = False
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def network(self) -> bool:
        return self.preset in PRESETS

    def lessons(self, folds: tuple[str, ...], *, shipped: bool) -> Lessons:
        if self.mix:
            return mixed(folds, shipped=shipped, synthetic=self.phantoms)
        return plain(folds, shipped=shipped)

    def config(self) -> TrainingConfig:
        return preset(self.preset, seed=SEED, threads=1, **self.changes)

    def document(self) -> dict[str, Any]:
        """Return what a row's result depends on, as JSON types."""
        training = {"training": self.config().document()} if self.network else {}
        return {"preset": self.preset, "mix": self.mix, "phantoms": self.phantoms, **training}

    def fit(self, folds: tuple[str, ...], folder: Path, *, shipped: bool) -> Path:
        """Learn from all but some folds, from the last checkpoint on; return the weights' file."""
        lessons = self.lessons(folds, shipped=shipped)
        folder.mkdir(parents=True, exist_ok=True)
        if self.network:
            return train(
                self.config(), lessons.images, lessons.masks, lessons.unlabelled, workdir=folder
            ).path
        path = folder / "model.safetensors"
        classifier = pixel_classifier.fit(self.preset, lessons.images, lessons.masks, seed=SEED)
        pixel_classifier.save_classifier(classifier, path)
        return path


WIDE = {"strong": "laboratory", "crop": 128, "iterations": 700}
PLUS = PRESETS["eugmt-plus"].options
assert isinstance(PLUS, EugmtOptions)
OWN = {**WIDE, "options": replace(PLUS, settled=0.0)}
"""Batch norm's statistics of the labelled images alone: where most tissue without labels is
negative, the preset's half of the other's moves them too far."""
ROWS = {
    row.name: row
    for row in (
        Row("pixel-classifier-filters", "filters"),
        Row("pixel-classifier-features", "features"),
        Row("pixel-classifier-filters-mixed", "filters", mix=True),
        Row("pixel-classifier-features-mixed", "features", mix=True),
        Row("supervised", "supervised"),
        Row("supervised-mixed", "supervised", mix=True, changes=WIDE),
        Row("supervised-mixed-phantoms", "supervised", mix=True, phantoms=True, changes=WIDE),
        Row("eugmt-plus", "eugmt-plus"),
        Row("eugmt-plus-mixed", "eugmt-plus", mix=True, changes=WIDE),
        Row("eugmt-plus-mixed-phantoms", "eugmt-plus", mix=True, phantoms=True, changes=WIDE),
        Row("eugmt-plus-own-phantoms", "eugmt-plus", mix=True, phantoms=True, changes=OWN),
    )
}


def predictor(path: Path) -> Predict:
    """Return what a finished training left, as something that predicts."""
    if pixel_classifier.holds_classifier(path):
        return pixel_classifier.load_classifier(path).predict
    torch.set_num_threads(1)
    return partial(predict, load_ensemble(path).teacher)


def cold_start(images: Pixels) -> npt.NDArray[np.float32]:
    return ColdStart()(images).probability


def in_all_positions(ask: Predict, images: Pixels) -> npt.NDArray[np.float32]:
    """Average what is predicted of the eight positions of a square."""
    views = [
        view.back(ask(np.ascontiguousarray(view.of(images, (1, 2)))), (1, 2)) for view in SQUARE
    ]
    mean: npt.NDArray[np.float32] = np.mean(views, axis=0, dtype=np.float32)
    return mean
