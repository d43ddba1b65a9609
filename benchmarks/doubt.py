"""Is the doubt where the errors are? Students, selector, entropy, views, and areas worth a look.

`python -m benchmarks.doubt [--sets dsb em drive phantom] [--method eugmt-plus] [--budget 12000]`.
On each set the method learns from 5 % of the training patches, as in the tables, and every known
pixel of the test patches gets a doubt of each kind; an error is a pixel on the wrong side of the
threshold that the validation patches chose, as the service's proposals are cut, and doubts are of
the probabilities shifted by it. Per kind: share of the errors among the most doubtful 5 % (at most
5 over the percentage of errors), and AUROC of doubt against error. Of the areas that the service
marks, by entropy and by the selector: their share of the pixels, how many of the errors' pixels and
areas they meet, and how many the same shapes meet elsewhere. Of the queue: the Dice of all patches
once a tenth, or a quarter, of them are corrected, chosen by the queue or by its rivals.

Killed, it goes on from its folder.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.record import record
from benchmarks.tables import words_of
from models import areas, selection
from models.metrics import IGNORE, Counts, compare
from models.metrics.doubt import auroc, calibration_error, capture
from models.metrics.error_areas import met
from models.metrics.threshold import best_threshold
from models.networks import Ensemble, load_ensemble
from models.prediction import Prediction
from models.study import dataset, runs
from models.study.contenders import chosen
from models.study.dataset import Dataset, Split
from models.study.protocol import Protocol
from models.study.runs import Cell
from models.study.strategies import STRATEGIES, Pool, entropy_of

Probabilities = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
SHARE, LABELLED = 0.05, 0.05
PATCHES = 64
"""Test patches looked at, spread over all."""
CORRECTED = (0.1, 0.25)
"""Shares of the patches that a person corrects."""
AT_RANDOM, DRAWS = ("random", "foreground"), 100
FLIPS = ((1,), (2,), (1, 2))


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


def shifted(probability: Probabilities, threshold: float) -> Probabilities:
    """Return probabilities of which one half lies where the threshold lay, as they are served."""
    p = probability.clip(1e-7, 1 - 1e-7).astype(np.float64)
    odds = p / (1 - p) * (1 - threshold) / threshold
    return (odds / (1 + odds)).astype(np.float32)


def doubts(
    members: Probabilities, flips: Probabilities, plain: Probabilities, flagged: Bool
) -> dict[str, npt.NDArray[Any]]:
    """Return each kind of doubt: members (M, …) are the probabilities of teacher and students.

    flips: the teacher's of mirrored views, the plain one included. plain: the teacher's as it was
    before the shift. The selector's is its flag first, and within it how little the teacher
    believes the students.
    """
    teacher, students = members[0], members[1:]
    disbelief = np.where(students >= 0.5, 1 - teacher, teacher).mean(0)
    mean = np.mean([entropy_of(each) for each in members], axis=0)
    return {
        "selector": flagged + disbelief,
        "entropy": entropy_of(teacher),
        "entropy before the shift": entropy_of(plain),
        "entropy of four views": entropy_of(flips.mean(0)),
        "spread of four views": flips.std(0),
        "disagreement": np.abs(students.max(0) - students.min(0)),
        "bald": entropy_of(members.mean(0)) - mean,
        "random": np.random.default_rng(0).random(teacher.shape),
    }


def figures(ensemble: Ensemble, data: Dataset, part: Split) -> dict[str, Any]:
    asked = part.validation[:: max(1, -(-len(part.validation) // 32))]
    threshold, _ = best_threshold(
        runs.predict(ensemble.teacher, data.images[asked]), data.truth(asked)
    )
    patches = part.test[:: max(1, -(-len(part.test) // PATCHES))]
    images, truth = data.images[patches], data.truth(patches)
    plain = np.stack([runs.predict(net, images) for net in ensemble.networks()])
    members = shifted(plain, threshold)
    views = [np.ascontiguousarray(np.flip(images, axes)) for axes in FLIPS]
    mirrored = [
        np.flip(runs.predict(ensemble.teacher, view), axes)
        for view, axes in zip(views, FLIPS, strict=True)
    ]
    flips = np.stack([members[0], *(shifted(each, threshold) for each in mirrored)])
    known = truth != IGNORE
    students = members[1:] >= 0.5
    flagged = areas.uncertain_pixels(members[0], students)
    wrong = ((members[0] >= 0.5) != (truth > IGNORE)) & known
    errors = wrong[known]
    return {
        "patches": len(patches),
        "pixels": int(known.sum()),
        "threshold": threshold,
        "errors_percent": percent(errors),
        "most_errors_in_5_percent": round(min(100.0, 5 / max(float(errors.mean()), 1e-9)), 1),
        "students_differ_percent": percent((students[0] != students[-1])[known]),
        "flagged_percent": percent(flagged[known]),
        "calibration_error": round(calibration_error(members[0][known], truth[known] > IGNORE), 4),
        "kinds": {
            name: {
                "errors_in_most_doubtful_5_percent": round(
                    100 * capture(each[known], errors, SHARE), 1
                ),
                "auroc": round(auroc(each[known], errors), 3),
            }
            for name, each in doubts(members, flips, plain[0], flagged).items()
        },
        "areas": {
            by: of_areas(areas.worth_a_look(members[0], students, by), wrong, known)
            for by in ("entropy", "selector")
        },
        "queue": of_queue(members, truth, images),
    }


def of_areas(marked: Bool, wrong: Bool, known: Bool) -> dict[str, float]:
    """Return what the marked areas meet, and what their shapes meet where they are moved to."""
    generator = np.random.default_rng(0)
    side = marked.shape[1]
    moved = np.stack(
        [np.roll(each, generator.integers(side // 4, 3 * side // 4, 2), (0, 1)) for each in marked]
    )
    here, elsewhere = (
        np.sum([met(*each) for each in zip(where, wrong, strict=True)], axis=0)
        for where in (marked, moved)
    )
    return {
        "percent": percent(marked[known]),
        "errors_percent": percent(marked[wrong]),
        "of_which_errors_percent": percent(wrong[marked & known]),
        "error_areas": int(here[1]),
        "error_areas_met_percent": round(100 * float(here[0]) / max(1, int(here[1])), 1),
        "met_elsewhere_percent": round(100 * float(elsewhere[0]) / max(1, int(here[1])), 1),
    }


def of_queue(
    members: Probabilities, truth: npt.NDArray[np.uint8], images: npt.NDArray[np.uint8]
) -> dict[str, Any]:
    """Return the pooled Dice with some patches corrected: of each strategy, mean of its draws."""
    proposed = members[0] >= 0.5
    features = selection.patch_features(list(images), proposed.mean((1, 2), dtype=np.float32))
    pool = Pool(
        Prediction(members[0], members[1:] >= 0.5),
        members,
        features,
        features[:1],
        tuple("" for _ in images),
    )
    counts = [compare(*each) for each in zip(proposed, truth, strict=True)]
    perfect = [Counts(each.membrane) for each in counts]

    def dice(corrected: npt.NDArray[np.intp]) -> float:
        done = set(corrected.tolist())
        pairs = enumerate(zip(counts, perfect, strict=True))
        return sum((after if n in done else now for n, (now, after) in pairs), Counts()).dice

    scores: dict[str, Any] = {"0": round(dice(np.empty(0, np.intp)), 4)}
    for share in CORRECTED:
        count = max(1, round(share * len(counts)))
        scores[str(count)] = {
            name: round(
                float(
                    np.mean(
                        [
                            dice(STRATEGIES[name](pool, count, np.random.default_rng(seed)))
                            for seed in range(DRAWS if name in AT_RANDOM else 1)
                        ]
                    )
                ),
                4,
            )
            for name in (*AT_RANDOM, "entropy", "ours", "selector")
        }
    return scores


def percent(pixels: Bool) -> float:
    return round(100 * float(pixels.mean()), 3) if pixels.size else 0.0


def measured(name: str, method: str, budget: int, seed: int, folder: Path) -> dict[str, Any]:
    """Train on a set, or go on, and return its figures."""
    stored = folder / "figures.json"
    if stored.is_file():
        return dict(json.loads(stored.read_text()))
    (contender,) = chosen([method])
    data, strong = read(name)
    protocol = Protocol(
        passes=budget,
        batch_labelled=8,
        batch_unlabelled=8,
        crop=64,
        learning_rate=5e-3,
        strong=strong,
    )
    part = dataset.split(data)
    labelled = dataset.labelled(part, LABELLED, seed=seed)
    config = runs.configured(Cell(contender, LABELLED, seed), protocol, threads=1)
    trained = runs.fit(config, data, part, labelled, folder)
    result = figures(load_ensemble(trained.path), data, part)
    stored.write_text(json.dumps(result))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=["dsb", "em", "drive", "phantom"])
    parser.add_argument("--method", default="eugmt-plus")
    parser.add_argument("--budget", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("doubt.work"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    by_set = {}
    for name in arguments.sets:
        folder = arguments.work / arguments.method / name
        by_set[name] = measured(name, arguments.method, arguments.budget, arguments.seed, folder)
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
