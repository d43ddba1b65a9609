"""What a round on 5, 10 or 20 corrected patches is worth: its start, its kind and its length.

`python -m benchmarks.rounds [--sets her2-core1 her2-eze10 phantom-lab dsb em] [--rows …]
[--counts 5 10 20] [--seeds 0 1]`. A round is trained as the service trains one: the preset's last
weights count. It goes on from the starter's weights, as a laboratory's first round does, or from
nothing, for as many steps as the preset says, or for fewer; or it is a fast one, in which the last
layers alone learn on features that are computed once (`benchmarks.heads`). Beside it stand the
starter as it comes, labels alone, and what a person would take instead: pixel classifiers on
filters and on frozen features. Labels of other slides, images of the slide in hand as in
`benchmarks.own_slide`; of the sets of the tables the patches of their own. Where a set has fewer
labelled patches than are asked for, all are taken. The starter learned from core 3+, so that core
is never judged here; among the labelled patches of the other HER2 sets it knows those already.

Figures of a choice are the validation groups'; those of the test groups are looked at once. What is
done is kept in the result file and not done again.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks import heads
from benchmarks.doubt import read as read_of_tables
from benchmarks.own_slide import WRITTEN, Folder
from benchmarks.record import RESULTS, record
from benchmarks.tables import DATA
from models import pixel_classifier
from models.metrics.threshold import Levels
from models.networks import load_ensemble
from models.presets import TrainingConfig, preset
from models.semisup.eugmt_options import EugmtOptions
from models.starter import shipped, weights_path
from models.study import dataset, runs
from models.study.contenders import FEATURES, PIXEL_CLASSIFIER, UNSETTLED
from models.study.dataset import Dataset, Split
from models.study.runs import Predictor
from models.training import train

Numbers = npt.NDArray[np.intp]
SETS = ("her2-core1", "her2-eze10", "phantom-lab", "dsb", "em")
COUNTS = (5, 10, 20)
"""Patches with a mask, at most."""
UNLABELLED = 200
"""Patches without one: as many as the service draws."""
SHORTER, SHORT = 600, 300
"""Steps of rounds that last seconds; the preset's own are 1,200."""
GENTLE = 1e-3
"""Learning rate of what begins with weights that know something already."""


@dataclass(frozen=True)
class Row:
    """A round. steps: 0 for none: the starter as it is. rate: of learning; 0: the preset's own.

    fast: `block` or `head`, the layers that a fast round has learn. classifier: the kind of a pixel
    classifier that is learned instead.
    """

    steps: int = 0
    preset: str = "eugmt-plus"
    from_starter: bool = True
    features: bool = False
    rate: float = 0.0
    fast: str = ""
    classifier: str = ""

    def config(self, seed: int) -> TrainingConfig:
        config = preset(self.preset, iterations=self.steps, seed=seed, threads=1)
        if self.features:
            options = EugmtOptions(**{**asdict(config.options), **UNSETTLED})
            config = replace(config, network=FEATURES, options=options)
        return replace(config, learning_rate=self.rate or config.learning_rate)


WHOLE = preset("eugmt-plus").iterations
ROWS = {
    "starter": Row(),
    "fast: the last block": Row(fast="block"),
    "fast: the head": Row(fast="head"),
    f"{SHORT} steps": Row(SHORT),
    f"{SHORT} steps, gently": Row(SHORT, rate=GENTLE),
    f"{SHORTER} steps": Row(SHORTER),
    f"{WHOLE} steps": Row(WHOLE),
    f"labels alone, {SHORT} steps": Row(SHORT, "supervised"),
    f"labels alone, {WHOLE} steps": Row(WHOLE, "supervised"),
    f"from nothing, {WHOLE} steps": Row(WHOLE, from_starter=False),
    f"features, from nothing, {SHORT} steps": Row(SHORT, from_starter=False, features=True),
    f"features, from nothing, {WHOLE} steps": Row(WHOLE, from_starter=False, features=True),
    **{
        f"{PIXEL_CLASSIFIER}-{kind}": Row(classifier=kind, from_starter=False)
        for kind in pixel_classifier.KINDS
    },
}


def read(name: str) -> Dataset:
    """Return a set: of the slide in hand, or of the tables."""
    if name not in WRITTEN:
        return read_of_tables(name)[0]
    with TemporaryDirectory() as folder:
        written = Folder(Path(folder) / name)
        WRITTEN[name](written)
        words = [str(word) for word in written.options()]
        places = {word: Path(path) for word, path in zip(words[::2], words[1::2], strict=True)}
        return dataset.read(
            places["--images"],
            places["--masks"],
            positive="255",
            groups=places["--groups"],
            part_table=places["--parts"],
            name=name,
        )


def learned_from(part: Split, count: int, seed: int) -> tuple[Numbers, Numbers]:
    """Return a draw's labelled patches, and those whose images are learned from as well."""
    chosen = np.sort(np.random.default_rng(seed).permutation(part.train)[:count])
    rest = np.concatenate([np.setdiff1d(part.train, chosen), part.unlabelled])
    return chosen, np.random.default_rng(seed).permutation(rest)[:UNLABELLED]


def learned(row: Row, data: Dataset, count: int, seed: int, folder: Path) -> tuple[Predictor, int]:
    """Return what a row comes to, and of how many labelled patches."""
    chosen, rest = learned_from(dataset.split(data), count, seed)
    images, masks = data.images[chosen], data.masks[chosen]
    unlabelled = data.images[rest if len(rest) else chosen]
    if row.classifier:
        fitted = pixel_classifier.fit(row.classifier, images, masks, seed=seed)
        return fitted.predict, len(chosen)
    if row.fast:
        teacher = heads.learned(images, masks, unlabelled, seed, block=row.fast == "block")
        return partial(runs.predict, teacher), len(chosen)
    if not row.steps:
        return partial(runs.predict, load_ensemble(weights_path()).teacher), 0
    initial = weights_path() if row.from_starter else None
    trained = train(row.config(seed), images, masks, unlabelled, workdir=folder, initial=initial)
    return partial(runs.predict, load_ensemble(trained.path).teacher), len(chosen)


def measured(row: Row, data: Dataset, count: int, seed: int) -> dict[str, Any]:
    """Train, and judge: the threshold is the validation groups'."""
    part = dataset.split(data)
    with TemporaryDirectory() as folder:
        began = time.process_time()
        predict, labelled = learned(row, data, count, seed, Path(folder))
        seconds = time.process_time() - began
    of = {
        name: Levels.of(predict(data.images[patches]), data.truth(patches))
        for name, patches in (("validation", part.validation), ("test", part.test))
    }
    threshold, on_validation = of["validation"].best()
    return {
        "labelled": labelled,
        "processor_seconds": round(seconds, 1),
        "threshold": threshold,
        "validation": round(on_validation, 4),
        "test": round(of["test"].at(threshold).dice, 4),
        "test_at_half": round(of["test"].at(0.5).dice, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"{DATA} is not there: set MEMBRANA_TEST_DATA to the folder of public sets.")
    torch.set_num_threads(1)
    stored = RESULTS / "rounds.json"
    cells = json.loads(stored.read_text())["cells"] if stored.is_file() else []
    done = {(each["set"], each["row"], each["asked"], each["seed"]) for each in cells}
    for name, seed in product(arguments.sets, arguments.seeds):
        data = read(name)
        for count, row in product(arguments.counts, arguments.rows):
            cell = {"set": name, "row": row, "asked": count, "seed": seed}
            if tuple(cell.values()) in done:
                continue
            cells.append(cell | measured(ROWS[row], data, count, seed))
            record("rounds", {"starter": shipped().name, "cells": cells})


if __name__ == "__main__":
    main()
