"""What a round on ten or so corrected patches is worth: its start, its network and its length.

`python -m benchmarks.rounds [--sets her2-core1 her2-eze10 phantom-lab dsb] [--rows …]`. A round is
trained as the service trains one: the preset's last weights count. It goes on from the starter's
weights, as a laboratory's first round does, or from nothing; for as many steps as the preset says,
or for few. Beside it stand the starter as it comes, and what a person would take instead: a pixel
classifier on frozen features. Labels of other slides, images of the slide in hand as in
`benchmarks.own_slide`; of DSB's nuclei there are twelve labelled patches. The starter learned from
core 3+, so that core is never judged here.

Figures of a choice are the validation groups'; those of the test groups are looked at once. What is
done is kept in the result file and not done again.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.doubt import read as read_of_tables
from benchmarks.own_slide import WRITTEN, Folder
from benchmarks.record import RESULTS, record
from benchmarks.tables import DATA
from models import pixel_classifier
from models.metrics.threshold import Levels
from models.networks import load_ensemble
from models.presets import TrainingConfig, preset
from models.semisup.eugmt_options import EugmtOptions
from models.starter import shipped
from models.study import dataset, runs
from models.study.contenders import FEATURES, UNSETTLED
from models.study.dataset import Dataset
from models.study.runs import Predictor
from models.training import train

SETS = ("her2-core1", "her2-eze10", "phantom-lab", "dsb")
LABELLED, UNLABELLED = 12, 200
"""Patches with a mask, at most; and without one, as many as the service draws."""
SHORT, SHORTEST = 300, 100
"""Steps of rounds that last seconds; the preset's own are 1,200."""
GENTLE = 1e-3
"""Learning rate of what begins with weights that know something already."""


@dataclass(frozen=True)
class Row:
    """A round. steps: 0 for none: the starter as it is. rate: of learning; 0: the preset's own."""

    steps: int
    from_starter: bool = False
    features: bool = False
    rate: float = 0.0

    def config(self, seed: int) -> TrainingConfig:
        config = preset("eugmt-plus", iterations=self.steps, seed=seed, threads=1)
        if self.features:
            options = EugmtOptions(**{**asdict(config.options), **UNSETTLED})
            config = replace(config, network=FEATURES, options=options)
        return replace(config, learning_rate=self.rate or config.learning_rate)


WHOLE = preset("eugmt-plus").iterations
ROWS = {
    "starter": Row(0, from_starter=True),
    f"from the starter, {WHOLE}": Row(WHOLE, from_starter=True),
    f"from the starter, {SHORT}": Row(SHORT, from_starter=True),
    f"from the starter, {SHORT}, gently": Row(SHORT, from_starter=True, rate=GENTLE),
    f"from the starter, {SHORTEST}, gently": Row(SHORTEST, from_starter=True, rate=GENTLE),
    f"from nothing, {WHOLE}": Row(WHOLE),
    f"from nothing, {SHORT}": Row(SHORT),
    f"features, {WHOLE}": Row(WHOLE, features=True),
    f"features, {SHORT}": Row(SHORT, features=True),
    "pixel-classifier-features": Row(0),
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


def learned(row: Row, data: Dataset, seed: int, folder: Path) -> tuple[Predictor, int]:
    """Return what a row comes to, and of how many labelled patches."""
    part = dataset.split(data)
    chosen = np.sort(np.random.default_rng(seed).permutation(part.train)[:LABELLED])
    rest = np.concatenate([np.setdiff1d(part.train, chosen), part.unlabelled])
    unlabelled = np.random.default_rng(seed).permutation(rest)[:UNLABELLED]
    images, masks = data.images[chosen], data.masks[chosen]
    initial = folder / "starter.safetensors"
    initial.write_bytes(shipped().weights)
    if row.steps:
        path = train(
            row.config(seed),
            images,
            masks,
            data.images[unlabelled if len(unlabelled) else chosen],
            workdir=folder,
            initial=initial if row.from_starter else None,
        ).path
        return partial(runs.predict, load_ensemble(path).teacher), len(chosen)
    if row.from_starter:
        return partial(runs.predict, load_ensemble(initial).teacher), 0
    return pixel_classifier.fit("features", images, masks, seed=seed).predict, len(chosen)


def measured(row: Row, data: Dataset, seed: int) -> dict[str, Any]:
    """Train, and judge: the threshold is the validation groups'."""
    part = dataset.split(data)
    with TemporaryDirectory() as folder:
        began = time.process_time()
        predict, labelled = learned(row, data, seed, Path(folder))
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
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"{DATA} is not there: set MEMBRANA_TEST_DATA to the folder of public sets.")
    torch.set_num_threads(1)
    stored = RESULTS / "rounds.json"
    figures = json.loads(stored.read_text())["sets"] if stored.is_file() else {}
    for name in arguments.sets:
        data = read(name)
        for row in arguments.rows:
            for seed in map(str, arguments.seeds):
                done = figures.setdefault(name, {}).setdefault(row, {})
                if seed not in done:
                    done[seed] = measured(ROWS[row], data, int(seed))
                    record("rounds", {"starter": shipped().name, "sets": figures})


if __name__ == "__main__":
    main()
