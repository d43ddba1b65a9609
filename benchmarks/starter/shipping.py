"""Write the starter into the package: weights, the ranges of its eight bits, and its card."""

import json
from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.starter.lessons import PLACES, teaching, unlabelled
from benchmarks.starter.rows import ROWS, SEED
from benchmarks.starter.sources import CORES, FOLDS, NEGATIVE, PHANTOMS, held_out, inputs
from benchmarks.starter.table import judged as judged_on
from benchmarks.starter.trials import OF_OTHER_LICENCE, Trial
from models import starter
from models.inference.eight_bits import frozen, spread
from models.metrics.threshold import HALF
from models.networks import save_with_threshold

NAME = "starter-1"
PACKAGE = Path(str(starter.FOLDER))
SOURCE = (
    "HER2 tissue cores of bozeklab/HER2-overexpression (Apache-2.0), cut and traced for Membrana"
)
DICES = ("dice", "near_dice")
LIMITS = (
    (
        "The truth was traced by one machine reader with eyes on enlarged pictures, not by a "
        "pathologist; with himself he agrees to a Dice of about 0.9."
    ),
    (
        "It learned from membranes of one or two cores of one laboratory, and was judged on two "
        "fields of one case of another: other stains, scanners and tumours may look different."
    ),
    "Faint, blurred membranes (1+) are where it is weakest.",
    (
        "Learned at 0.18 to 0.28 µm per pixel, HER2 in brightfield only. For research use only: "
        "every proposal is to be looked at."
    ),
)


def ship(trial: Trial, document: dict[str, Any]) -> None:
    """Write the files of `models.starter`. Raises ValueError for a training of other licences."""
    if not trial.shipped:
        raise ValueError("Only a training on pixels of Apache-2.0 alone may be shipped.")
    row = ROWS[trial.row]
    fold = OF_OTHER_LICENCE
    judged = judged_on(trial, fold)
    labelled = teaching(trial.folds, shipped=True)
    taught = {crop.name for crop in labelled}
    patches = unlabelled(trial.folds)
    weights = PACKAGE / starter.WEIGHTS
    sha256 = save_with_threshold(trial.weights, HALF, weights, stain_rules=True)
    calibration, costs = frozen(weights, patches[spread(len(patches))], threads=1)
    (PACKAGE / starter.RANGES).write_bytes(calibration.document())
    stained = [crop for crop in labelled if crop.source in FOLDS]
    card = {
        "name": NAME,
        "summary": (
            "A network that comes with Membrana: trained on traced HER2 membranes of other "
            "laboratories, before anything was corrected here."
        ),
        "licence": "Apache-2.0",
        "made": datetime.now(UTC).date().isoformat(),
        "command": f"python -m benchmarks.starter --ship --row {trial.row}",
        "row": trial.row,
        "seed": SEED,
        "torch": torch.__version__,
        "training": row.config().document(),
        "weights_sha256": sha256,
        "ranges_sha256": starter.sha256_of(calibration.document()),
        "eight_bits": {precision: asdict(cost) for precision, cost in costs.items()},
        "threshold": HALF,
        "stain_rules": "What is not brown, brown nuclei and crumbs are not proposed.",
        "data": {
            "labelled": (
                f"{len(stained)} traced crops of 256 px with membranes of "
                f"{counted({crop.source for crop in stained})} and {len(labelled) - len(stained)} "
                f"without, of {counted({crop.source for crop in labelled} - set(FOLDS))}"
            ),
            "unlabelled": (
                f"{len(patches)} patches of {counted(CORES.keys() - held_out(trial.folds))}, "
                f"those of {counted(set(NEGATIVE) - held_out(trial.folds))} scored 0 as background"
            ),
            "synthetic": (
                f"{len(PHANTOMS)} synthetic slides"
                if row.phantoms
                else "no synthetic slide: on validation sources they did not help"
            ),
            "source": SOURCE,
            "places": PLACES,
            "crops": [crop.name for crop in labelled],
        },
        "inputs_sha256": {
            path: sha256
            for path, sha256 in inputs()
            if Path(path).stem in taught
            or path in {CORES[name] for name in CORES.keys() - held_out(trial.folds)}
        },
        "metrics": {
            "threshold": {
                "value": HALF,
                "slides": 0,
                "dice": judged["dice"],
                "dice_at_half": judged["dice"],
                "reason": (
                    "Proposes from a probability of 0.50: one source of membranes that did not "
                    "teach it is too little to choose another one."
                ),
            },
            "held_out": {"source": fold, "sources": list(FOLDS[fold]), **judged},
            "by_source": document["chosen_judged"],
        },
        "reached": reached(judged, document["chosen_judged"]),
        "limits": list(LIMITS),
    }
    text = json.dumps(card, indent=1, ensure_ascii=False)
    (PACKAGE / starter.CARD).write_text(text + "\n")


def counted(sources: Collection[str]) -> str:
    return f"{len(sources)} core{'s' if len(sources) > 1 else ''}"


def reached(held_out: dict[str, Any], by_source: dict[str, dict[str, float]]) -> list[str]:
    """Say what these weights, and the way to them, are worth on sources that were never seen."""
    dice, near = (np.mean([each[name] for each in by_source.values()]) for name in DICES)
    return [
        (
            f"Dice {held_out['dice']:.2f}, {held_out['near_dice']:.2f} within 2 px (precision "
            f"{held_out['near_precision']:.2f}, recall {held_out['near_recall']:.2f}) on two "
            "fields of a case that it never saw and two without membranes; goal 0.80 and 0.90"
        ),
        (
            f"Mean of {len(by_source)} sources, each judged by trainings of this kind by one other "
            f"source: Dice {dice:.2f}, {near:.2f} within 2 px"
        ),
    ]
