"""Is the doubt where the errors are? The shipped preset's students, selector and probabilities.

`python -m benchmarks.doubt [--sets dsb em drive phantom] [--method eugmt-plus] [--budget 12000]`.
On each set the method learns from 5 % of the training patches, as in the tables, and every known
pixel of the test patches gets a doubt of each kind; an error is a pixel on the wrong side of 0.5,
as the service's proposals are cut. Per kind: share of the errors among the most doubtful 5 %, and
AUROC of doubt against error. Of the pixels that the service flags: their share, and of the errors.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.record import record
from benchmarks.tables import words_of
from models import selection
from models.metrics import IGNORE
from models.metrics.doubt import auroc, calibration_error, capture
from models.networks import Ensemble, load_ensemble
from models.study import dataset, runs
from models.study.contenders import chosen
from models.study.dataset import Dataset
from models.study.protocol import Protocol
from models.study.runs import Cell
from models.study.strategies import entropy_of

Probabilities = npt.NDArray[np.float32]
SHARE, LABELLED = 0.05, 0.05


def read(name: str) -> tuple[Dataset, str]:
    """Return a set of the tables, and its strong view."""
    with TemporaryDirectory() as folder:
        words = words_of(name, Path(folder))
        options = dict(zip((str(word) for word in words[::2]), words[1::2], strict=True))
        groups, region = options.get("--groups"), options.get("--region")
        data = dataset.read(
            Path(options["--images"]),
            Path(options["--masks"]),
            positive=str(options["--positive"]),
            groups=Path(groups) if groups else None,
            region=Path(region) if region else None,
            name=name,
        )
    return data, str(options["--strong"])


def doubts(members: Probabilities, flagged: npt.NDArray[np.bool_]) -> dict[str, Probabilities]:
    """Return each kind of doubt: members (M, …) are the probabilities of teacher and students.

    The selector's is its flag first, and within it how little the teacher believes the students.
    """
    teacher, students = members[0], members[1:]
    disbelief = np.where(students >= 0.5, 1 - teacher, teacher).mean(0)
    mean = np.mean([entropy_of(each) for each in members], axis=0)
    return {
        "selector": flagged + disbelief,
        "entropy": entropy_of(teacher),
        "disagreement": np.abs(students.max(0) - students.min(0)),
        "bald": entropy_of(members.mean(0)) - mean,
        "random": np.random.default_rng(0).random(teacher.shape),
    }


def figures(ensemble: Ensemble, data: Dataset, patches: npt.NDArray[np.intp]) -> dict[str, Any]:
    members = np.stack([runs.predict(net, data.images[patches]) for net in ensemble.networks()])
    truth = data.truth(patches)
    flagged = selection.uncertain_pixels(members[0], members[1:] >= 0.5)
    known = truth != IGNORE
    members, flagged, membrane = members[:, known], flagged[known], truth[known] > IGNORE
    errors = (members[0] >= 0.5) != membrane
    return {
        "pixels": int(known.sum()),
        "errors_percent": percent(errors),
        "students_differ_percent": percent((members[1] >= 0.5) != (members[2] >= 0.5)),
        "flagged_percent": percent(flagged),
        "errors_flagged_percent": percent(flagged[errors]),
        "flagged_that_are_errors_percent": percent(errors[flagged]) if flagged.any() else None,
        "calibration_error": round(calibration_error(members[0], membrane), 4),
        "kinds": {
            name: {
                "errors_in_most_doubtful_5_percent": round(100 * capture(each, errors, SHARE), 1),
                "auroc": round(auroc(each, errors), 3),
            }
            for name, each in doubts(members, flagged).items()
        },
    }


def percent(pixels: npt.NDArray[np.bool_]) -> float:
    return round(100 * float(pixels.mean()), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=["dsb", "em", "drive", "phantom"])
    parser.add_argument("--method", default="eugmt-plus")
    parser.add_argument("--budget", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    (contender,) = chosen([arguments.method])
    by_set = {}
    for name in arguments.sets:
        data, strong = read(name)
        protocol = Protocol(
            passes=arguments.budget,
            batch_labelled=8,
            batch_unlabelled=8,
            crop=64,
            learning_rate=5e-3,
            strong=strong,
        )
        part = dataset.split(data)
        labelled = dataset.labelled(part, LABELLED, seed=arguments.seed)
        config = runs.configured(Cell(contender, LABELLED, arguments.seed), protocol, threads=1)
        with TemporaryDirectory() as folder:
            trained = runs.fit(config, data, part, labelled, Path(folder))
            ensemble = load_ensemble(trained.path)
        by_set[name] = figures(ensemble, data, part.test)
        print(name, by_set[name], flush=True)
    record(
        "doubt" if arguments.method == "eugmt-plus" else f"doubt_{arguments.method}",
        {
            "method": arguments.method,
            "passes": arguments.budget,
            "seed": arguments.seed,
            "sets": by_set,
        },
    )


if __name__ == "__main__":
    main()
