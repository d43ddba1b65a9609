"""Cells that are none: what is counted in lumen, vacuoles, stroma and debris, by source.

`python -m benchmarks.false_cells FOLDS` reads MEMBRANA_TEST_DATA and measures the crops of
her2_nuclei_marked with the nuclei of the rule and of the network (each core's by the one of FOLDS,
those of benchmarks.nuclei, that has not seen it). What passes for a tumour cell in a score and is
matched to no mark within 12 px of 0.22 µm is false; where it lies is told by its pixels. What is
matched to a mark of the class `other` (stroma, lymphocytes, …) is counted by itself: a region of
tumour would leave most of it out. The crops show mostly epithelium, so figures per mm² are of such
tissue.

Then what a "not a cell" would do: too little haematoxylin to be a nucleus, and a forest of 17
measures of a nucleus. Their limits lose a share of the tumour nuclei of other sources; both columns
are of the source that was left out. Neither is in the product, see docs/her2_validation.md.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from benchmarks.nuclei import APART, DATA, RADII, Rule, unseen_networks
from benchmarks.nuclei_truth import REACH_UM, RIM_UM, Known, labels_of, marked
from benchmarks.record import record
from models.her2.nuclei import NUCLEI_MPP, Detector, Label, Nuclei, measure_nuclei
from models.her2.optical_density import Densities
from models.her2.pixels import ANALYSIS_MPP, Field
from models.her2.tile import LEAST_CELL_UM2, LONGEST, MOST_CELL_UM2
from models.her2.white_point import survey
from models.stain import StainVectors

Double = npt.NDArray[np.float64]
AROUND = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (17, 17))
"""4 µm round a nucleus."""
GLASS, GREY = 0.88, 24
"""Brightness, of white, and the most colour of what is glass."""
BROWN = 0.15
PLACES = ("lumen, vacuole or fat", "inside a brown ring", "other tissue")
LOSSES = (0.005, 0.01, 0.02)


@dataclass(frozen=True)
class Detections:
    """What passes for tumour cells on all crops: source, kind, place and measures (n, k)."""

    source: npt.NDArray[np.str_]
    kind: npt.NDArray[np.str_]
    place: npt.NDArray[np.str_]
    measures: Double


def kinds(known: Known, nuclei: Nuclei) -> list[str]:
    """Return the class of the mark that each nucleus is matched to, `false` or `edge`."""
    at = np.stack([nuclei.col + 0.5, nuclei.row + 0.5], axis=1) * NUCLEI_MPP / known.mpp
    reach, rim = REACH_UM / known.mpp, RIM_UM / known.mpp
    apart = np.hypot(*(at[:, None] - known.places[None]).transpose(2, 0, 1))
    rows, cols = linear_sum_assignment(np.where(apart <= reach, apart, 1e6))
    height, width = known.image.shape[:2]
    near = (at.min(axis=1) < rim) | (at[:, 0] > width - rim) | (at[:, 1] > height - rim)
    out = np.where(near, "edge", "false").astype("<U8")
    pairs = apart[rows, cols] <= reach
    out[rows[pairs]] = known.classes[cols[pairs]]
    return [str(each) for each in out]


def measured(known: Known, labels: Label) -> tuple[Nuclei, list[str], list[list[float]]]:
    """Return what a score would count, where each lies, and its measures."""
    field = Field(known.image, known.mpp)
    height, width = labels.shape
    fine = field.read(0, 0, 2 * width, 2 * height, ANALYSIS_MPP)
    image = np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    white = survey(field, StainVectors()).white
    densities = Densities(white, StainVectors())
    blue, brown = densities.haematoxylin(image), densities.dab(image)
    least, most = image.min(axis=2), image.max(axis=2)
    colour = (most - least).astype(np.float64)
    glass = (least > GLASS * min(white)) & (colour < GREY)
    dark = -np.log10(np.maximum(image, 1) / np.asarray(white)).mean(axis=2)
    nuclei = measure_nuclei(labels, brown, NUCLEI_MPP)
    nuclei = nuclei.take(
        (nuclei.area_um2 >= LEAST_CELL_UM2)
        & (nuclei.area_um2 <= MOST_CELL_UM2)
        & (nuclei.elongation <= LONGEST)
    )
    places, measures = [], []
    for number, area, elongation in zip(
        nuclei.number, nuclei.area_um2, nuclei.elongation, strict=True
    ):
        inside = labels == number
        ring = (cv2.dilate(inside.astype(np.uint8), AROUND) > 0) & ~inside
        share = float(glass[ring | inside].mean())
        bright, browner = share >= 0.5, float(brown[ring].mean()) >= BROWN
        places.append(PLACES[0] if bright else PLACES[1] if browner else PLACES[2])
        row = [area, elongation, share, glass[inside].mean()]
        for plane in (blue, brown, dark, colour):
            row += [plane[inside].mean(), plane[inside].std(), plane[ring].mean()]
        row.append(dark[inside].max())
        measures.append([float(each) for each in row])
    return nuclei, places, measures


HAEMATOXYLIN = 4
"""The column of `measured` that says how blue a nucleus is on average."""


def detections_of(crops: list[Known], detector_for: Callable[[str], Detector]) -> Detections:
    """Detect and match the nuclei of all crops."""
    rows: list[tuple[str, str, str]] = []
    columns: list[list[float]] = []
    for known in crops:
        nuclei, places, measures = measured(known, labels_of(known, detector_for(known.group)))
        kind = kinds(known, nuclei)
        rows += [(known.group, *pair) for pair in zip(kind, places, strict=True)]
        columns += measures
    words = np.array(rows)
    return Detections(words[:, 0], words[:, 1], words[:, 2], np.array(columns))


def table(crops: list[Known], detections: Detections) -> dict[str, Any]:
    """Count by source: tumour nuclei that are detected, and false cells by place and mm²."""
    out = {}
    for source in [*dict.fromkeys(each.group for each in crops), "all"]:
        some = [each for each in crops if source in ("all", each.group)]
        area = sum(each.image.shape[0] * each.image.shape[1] * each.mpp**2 for each in some) / 1e6
        here = np.isin(detections.source, [each.group for each in some])
        wrong = here & (detections.kind == "false")
        out[source] = {
            "mm2": round(area, 5),
            "tumour": int((here & (detections.kind == "tumour")).sum()),
            "other": int((here & (detections.kind == "other")).sum()),
            "false": int(wrong.sum()),
            "false_per_mm2": round(float(wrong.sum() / area), 1),
            **{place: int((wrong & (detections.place == place)).sum()) for place in PLACES},
        }
    return out


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(300, min_samples_leaf=5, class_weight="balanced", random_state=0)


def left_out(detections: Detections) -> dict[str, Any]:
    """Say what two ways of "not a cell" take away from sources that did not set their limits."""
    tumour, wrong = (detections.kind == name for name in ("tumour", "false"))
    taken: dict[str, dict[float, list[int]]] = {
        name: {loss: [0, 0] for loss in LOSSES} for name in ("pale", "forest")
    }
    for source in np.unique(detections.source):
        here = detections.source == source
        train = ~here & (tumour | wrong)
        measures, groups = detections.measures[train], detections.source[train]
        # of the sources that teach each is judged by the others: limits of seen ones are too good
        alike = cross_val_predict(
            forest(),
            measures,
            wrong[train],
            groups=groups,
            cv=LeaveOneGroupOut(),
            method="predict_proba",
        )[:, 1]
        likely = forest().fit(measures, wrong[train]).predict_proba(detections.measures)[:, 1]
        for name, teaches, judged in (
            ("pale", -measures[:, HAEMATOXYLIN], -detections.measures[:, HAEMATOXYLIN]),
            ("forest", alike, likely),
        ):
            for loss in LOSSES:
                gone = here & (judged > np.quantile(teaches[tumour[train]], 1 - loss))
                taken[name][loss][0] += int((gone & tumour).sum())
                taken[name][loss][1] += int((gone & wrong).sum())
    return {
        "tumour": int(tumour.sum()),
        "false": int(wrong.sum()),
        **{
            name: [
                {"loss_on_others": loss, "tumour_lost": lost, "false_removed": removed}
                for loss, (lost, removed) in each.items()
            ]
            for name, each in taken.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folds", type=Path)
    asked = parser.parse_args()
    crops = [each for each in marked(DATA) if each.group != APART]
    ways: Mapping[str, Callable[[str], Detector]] = {
        "rule": lambda _: Rule(RADII["rule"]),
        "network": unseen_networks(asked.folds),
    }
    by_way = {name: detections_of(crops, way) for name, way in ways.items()}
    record(
        "false_cells",
        {
            "crops": len(crops),
            "not_judged": APART,
            **{name: table(crops, detections) for name, detections in by_way.items()},
            "not_a_cell": left_out(by_way["network"]),
        },
    )


if __name__ == "__main__":
    main()
