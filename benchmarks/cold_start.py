"""What the stain rule proposes on traced real membranes, and where there are none.

`python -m benchmarks.cold_start` reads MEMBRANA_TEST_DATA. Each row stands with the rule's
parameters of today (`now`), without the rules on hue, arms, densities of lumps and length
(`before`), as the shipped starter proposes, and as its networks would without the stain rules.
Traced crops are judged by source, undecided pixels out on both sides; within 2 px as their README
says; what they are worth stands there, too: one reader, few crops. Where no membrane is (cores
labelled 0, nuclear stains, H&E), the share of the tissue that is proposed; its goal is below 0.1 %.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.own_slide import TRACED, read, whole
from benchmarks.record import record
from benchmarks.tables import DATA
from models.cold_start import ColdStart, ColdStartParameters
from models.her2.pixels import ANALYSIS_MPP, Field
from models.inference.choice import load
from models.metrics.threshold import HALF
from models.prediction import Predictor
from models.stain_rules import StainRuled
from models.starter import weights_path
from models.tissue import tissue_mask
from worker.commands.weights import predicted

Bool = npt.NDArray[np.bool_]
Rgb = npt.NDArray[np.uint8]

BEFORE = ColdStartParameters(
    brown_hue_od=0, pinkest=-1, longest_arm_px=0, lump_od=(), shortest_px=0
)
OVERVIEW = 8
WITHIN = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
GOAL_PERCENT = 0.1
PANEL_PX = 512


@dataclass(frozen=True)
class Negative:
    """An image without membrane staining; a field is tissue all over."""

    path: str
    kind: str
    mpp: float
    field: bool = False


NEGATIVES = (
    Negative("her2_tma_jpeg/0_9b0f64d1-6785-49d9-b279-004b2deb8478.jpg", "core labelled 0", 0.22),
    Negative("wsi_her2/tma_0_nompp.svs", "core labelled 0", 0.22),
    Negative("ihc_nuclear_deepliif/22_2_ihc.png", "nuclear stain", 0.25, field=True),
    Negative("ihc_nuclear_deepliif/6_2_ihc.png", "nuclear stain", 0.25, field=True),
    Negative("ihc_nuclear_deepliif/Bladder1.png", "nuclear stain", 0.25, field=True),
    Negative("ihc_other/pdl1_sp142_004.jpg", "hardly stained PD-L1", 0.25),
    Negative("wsi_vendor/CMU-1-Small-Region.svs", "H&E", 0.499),
    Negative("her2_fields/EZEHER_002_5_Cero.jpg", "brown cytoplasm, labelled 0", 0.25, field=True),
    Negative("her2_fields/EZEHER_002_6_Cero.jpg", "brown cytoplasm, labelled 0", 0.25, field=True),
    Negative("her2_fields/EZEHER_002_7_Cero.jpg", "brown cytoplasm, labelled 0", 0.25, field=True),
)


def source_of(name: str) -> str:
    """Name the source of a traced crop: two crops of one case are one."""
    return "eze10" if name.startswith("eze10") else name.rpartition("_")[0]


def crops() -> Iterator[tuple[str, Rgb, Bool, Bool]]:
    """Yield source, pixels, membrane and what could not be decided of each traced crop."""
    with (TRACED / "crops.csv").open(newline="") as file:
        for name in (row["name"] for row in csv.DictReader(file)):
            image, mask, ignore = (
                read(TRACED / folder / f"{name}.png") for folder in ("images", "masks", "ignore")
            )
            yield source_of(name), image, mask > 0, ignore > 0


def judged(pairs: list[tuple[Bool, Bool, Bool]]) -> dict[str, float | None]:
    """Dice, and precision, recall and their mean within 2 px, of (proposed, true, undecided)."""
    both = proposed = true = near_true = near_proposed = area = 0
    for mask, truth, ignore in pairs:
        known = ~ignore
        wide, wide_truth = (cv2.dilate(each.astype(np.uint8), WITHIN) > 0 for each in (mask, truth))
        area += int(known.sum())
        both += int((mask & truth & known).sum())
        proposed += int((mask & known).sum())
        true += int((truth & known).sum())
        near_true += int((mask & wide_truth & known).sum())
        near_proposed += int((truth & wide & known).sum())
    share = round(100 * proposed / area, 3)
    if not true:
        return {"proposed_percent": share}
    precision, recall = near_true / max(proposed, 1), near_proposed / true
    within = 2 * precision * recall / max(precision + recall, 1e-9)
    return {
        "proposed_percent": share,
        "dice": round(2 * both / (proposed + true), 4),
        "precision_2px": round(precision, 4),
        "recall_2px": round(recall, 4),
        "dice_2px": round(within, 4),
    }


def share_of(negative: Negative, rules: dict[str, Predictor]) -> dict[str, Any]:
    """Percent of a negative's tissue that each of the rules proposes."""
    path = DATA / negative.path
    image = whole(path) if path.suffix == ".svs" else read(path)[..., :3]
    if image.shape[1] == 6 * PANEL_PX:
        image = np.ascontiguousarray(image[:, :PANEL_PX])  # beside it lie other stains
    field = Field(image, negative.mpp)
    masks = {name: predicted(field, rule).membrane for name, rule in rules.items()}
    shape = next(iter(masks.values())).shape
    tissue = np.ones(shape, np.bool_)
    if not negative.field:
        height, width = (max(1, side // OVERVIEW) for side in shape)
        overview = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        coarse = tissue_mask(np.asarray(overview, np.uint8), ANALYSIS_MPP * OVERVIEW)
        tissue = cv2.resize(coarse.astype(np.uint8), shape[::-1]) > 0
    shares = {
        name: round(100 * float((mask & tissue).sum()) / max(1, int(tissue.sum())), 4)
        for name, mask in masks.items()
    }
    return {"image": negative.path, "kind": negative.kind, **shares}


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    ruled = load(weights_path(), threads=1)
    assert isinstance(ruled, StainRuled)
    rules: dict[str, Predictor] = {
        "before": ColdStart(BEFORE),
        "now": ColdStart(),
        "starter": ruled,
        "starter_without_rules": ruled.predictor,
    }
    pairs: dict[str, dict[str, list[tuple[Bool, Bool, Bool]]]] = {}
    for source, image, truth, ignore in crops():
        for name, rule in rules.items():
            mask = rule(image[None]).probability[0] >= HALF
            pairs.setdefault(source, {}).setdefault(name, []).append((mask, truth, ignore))
    record(
        "cold_start",
        {
            "goal_percent": GOAL_PERCENT,
            "traced": {
                source: {name: judged(triples) for name, triples in each.items()}
                for source, each in pairs.items()
            },
            "without_membrane": [share_of(negative, rules) for negative in NEGATIVES],
        },
    )


if __name__ == "__main__":
    main()
