"""What makes the two students differ, and what it costs: short trainings, on validation groups.

`python -m benchmarks.students [--sets dsb em] [--rows …] [--draws 0 1 2] [--budget 6000]`. The
selector doubts where a student and the teacher part, so of two students that are nearly one network
it flags nothing. Each row is `eugmt-plus` with what its students' origin hangs on turned, on 5 % of
the labels and half of the tables' passes. Of the sets of `benchmarks.own_slide` twelve labelled
patches are learned from, as in a laboratory's first round, and there are rows that go on from the
starter: its two students are nearly one network, so of the second the decoder can be drawn anew.
Judged are validation patches alone: the Dice at the threshold that is best there, the share of
pixels on which the students differ and that the selector flags, and the AUROC of errors by the
selector's doubt beside that by the entropy.

What is done is kept in the result file and not done again.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.doubt import LABELLED, figures
from benchmarks.doubt import read as read_set
from benchmarks.own_slide import WRITTEN
from benchmarks.record import RESULTS, record
from benchmarks.rounds import learned_from, read
from benchmarks.tables import DATA
from models.metrics.threshold import best_threshold
from models.networks import Ensemble, SmallUNet, load_ensemble, save_ensemble
from models.semisup.eugmt_options import EugmtOptions
from models.starter import weights_path
from models.study import dataset, runs
from models.study.contenders import chosen
from models.study.dataset import Dataset
from models.study.protocol import Protocol
from models.study.runs import Cell
from models.training import TrainingConfig, train

SHIPPED = "eugmt-plus"
OWN_WAYS = {"fork": False, "student_mix": 0.99}
"""Two students from the beginning, and a teacher that follows the first."""
LABELLED_IN_HAND = 12
KINDS = ("selector", "entropy", "disagreement")
STARTER, REDRAWN = "starter", "starter, redrawn"
"""Begun with the starter's weights; and with a second student that has the encoder of them only."""
DECODER = ("narrow", "up", "head")
RESTARTED = 1e-3
"""Learning rate of a second phase."""


@dataclass(frozen=True)
class Row:
    """A training. switches: options turned; second: those of a second phase, on half of the passes.

    A second phase begins with the first one's weights, and its own rate. start: weights that the
    first begins with; empty: none.
    """

    switches: Mapping[str, Any] = field(default_factory=dict)
    second: Mapping[str, Any] = field(default_factory=dict)
    method: str = SHIPPED
    start: str = ""


ROWS = {
    "as shipped": Row(),
    "parting at half": Row({"labelled_share": 0.5}),
    "apart from the start": Row(OWN_WAYS),
    "apart from the start, teaching from half on": Row({**OWN_WAYS, "labelled_share": 0.5}),
    "apart from the start, two phases": Row(
        {**OWN_WAYS, "labelled_share": 1.0},
        second={**OWN_WAYS, "labelled_share": 0.0, "ramp_share": 1.0},
    ),
    "features, as its row": Row(method="eugmt-plus-features"),
    "features, apart from the start": Row(OWN_WAYS, method="eugmt-plus-features"),
    "as shipped, from the starter": Row(start=STARTER),
    "apart, from the starter": Row(OWN_WAYS, start=STARTER),
    "apart, from the starter, second decoder drawn anew": Row(OWN_WAYS, start=REDRAWN),
}
"""Rows that go on from the starter are for images like those that it learned from."""


def begun_with(row: Row, draw: int, path: Path) -> Path | None:
    """Write the weights that a row begins with."""
    if not row.start:
        return None
    starter = load_ensemble(weights_path())
    if row.start == REDRAWN:
        torch.manual_seed(draw)
        fresh, second = SmallUNet(), starter.students[-1]
        for name in DECODER:
            second.get_submodule(name).load_state_dict(fresh.get_submodule(name).state_dict())
    save_ensemble(starter, path)
    return path


def configured(
    row: Row, switches: Mapping[str, Any], passes: int, strong: str, draw: int
) -> TrainingConfig:
    (contender,) = chosen([row.method])
    protocol = Protocol(
        passes=passes,
        batch_labelled=8,
        batch_unlabelled=8,
        crop=64,
        learning_rate=5e-3,
        strong=strong,
    )
    turned = replace(contender, switches={**contender.switches, **switches})
    return runs.configured(Cell(turned, LABELLED, draw), protocol, threads=1)


def trained(row: Row, data: Dataset, strong: str, passes: int, draw: int, folder: Path) -> Ensemble:
    """Train a row on a set's labels, in one phase or two."""
    part = dataset.split(data)
    if data.name in WRITTEN:
        labelled, rest = learned_from(part, LABELLED_IN_HAND, draw)
    else:
        labelled = dataset.labelled(part, LABELLED, seed=draw)
        rest = np.setdiff1d(part.train, labelled)
    phases = [row.switches, row.second] if row.second else [row.switches]
    weights = begun_with(row, draw, folder / "start.safetensors")
    for number, switches in enumerate(phases):
        config = configured(row, switches, passes // len(phases), strong, draw)
        assert isinstance(config.options, EugmtOptions)
        if number:
            config = replace(config, learning_rate=RESTARTED)
        weights = train(
            config,
            data.images[labelled],
            data.masks[labelled],
            data.images[rest],
            workdir=folder / str(number),
            initial=weights,
        ).path
    assert weights is not None
    return load_ensemble(weights)


def measured(row: Row, data: Dataset, strong: str, passes: int, draw: int) -> dict[str, Any]:
    """Train, and look at the validation patches as `benchmarks.doubt` looks at the test patches."""
    part = dataset.split(data)
    began = time.process_time()
    with TemporaryDirectory() as folder:
        ensemble = trained(row, data, strong, passes, draw, Path(folder))
    seconds = time.process_time() - began
    # of the test patches nothing is seen here
    doubts = figures(ensemble, data, replace(part, test=part.validation))
    truth = data.truth(part.validation)
    _, dice = best_threshold(runs.predict(ensemble.teacher, data.images[part.validation]), truth)
    return {
        "dice": round(dice, 4),
        "students": [
            round(best_threshold(runs.predict(each, data.images[part.validation]), truth)[1], 4)
            for each in ensemble.students
        ],
        "students_differ_percent": doubts["students_differ_percent"],
        "flagged_percent": doubts["flagged_percent"],
        "auroc": {kind: doubts["kinds"][kind]["auroc"] for kind in KINDS},
        "errors_in_most_doubtful_5_percent": {
            kind: doubts["kinds"][kind]["errors_in_most_doubtful_5_percent"] for kind in KINDS
        },
        "processor_seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=["dsb", "em"])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--draws", type=int, nargs="+", default=[0])
    parser.add_argument("--budget", type=int, default=6_000)
    arguments = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"{DATA} is not there: set MEMBRANA_TEST_DATA to the folder of public sets.")
    torch.set_num_threads(1)
    stored = RESULTS / "students.json"
    done = json.loads(stored.read_text())["sets"] if stored.is_file() else {}
    for name in arguments.sets:
        data, strong = (read(name), "stain") if name in WRITTEN else read_set(name)
        for draw in arguments.draws:
            for row in arguments.rows:
                of_row = done.setdefault(name, {}).setdefault(row, {})
                if str(draw) not in of_row:
                    cell = ROWS[row], data, strong, arguments.budget, draw
                    of_row[str(draw)] = measured(*cell)
                    record("students", {"passes": arguments.budget, "sets": done})


if __name__ == "__main__":
    main()
