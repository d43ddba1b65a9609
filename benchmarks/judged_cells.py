"""Completeness and intensity of cells against the eye, by source, on real traced crops.

`python -m benchmarks.judged_cells FOLDS` reads MEMBRANA_TEST_DATA. Masks are the traced ones, the
stain rule's and the shipped starter's (which was taught on the cores, not on the fields). Nuclei
are marked ones (discs, so that the membrane's measuring is judged alone) and the network's: each
core's by the one of FOLDS (those of benchmarks.nuclei) that has not seen it, `core0_aa` and the
fields by the shipped one, which has seen the former. Thresholds are once the protocol's start
values, once chosen on other sources only: where both sides of a step are best told apart (Youden),
with the protocol's value, or its rule for "moderate", where the others show too few of a step.
A shared border counts for both cells, as the eye counted it: completeness is c, not c*. κ is over
all judged cells that have a nucleus, and over those of stained sources; cells without are counted.
One machine reader judged the cells and agrees with itself by κ 0.67 (completeness) and 0.89: read
the README beside them.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from benchmarks.cold_start import source_of
from benchmarks.her2_real import CORE_MPP, FIELD_MPP
from benchmarks.nuclei import unseen_networks
from benchmarks.own_slide import TRACED, read, whole
from benchmarks.record import record
from benchmarks.tables import DATA
from models.cold_start import ColdStart
from models.her2.agreement import kappa
from models.her2.nuclei import NUCLEI_MPP, Detector, Label, View
from models.her2.pixels import Field, MaskArrays, Regions
from models.her2.protocols import Protocol, load
from models.her2.tile import Settings
from models.her2.tiles import measure
from models.her2.white_point import Survey, survey
from models.prediction import Predictor
from models.stain import StainVectors
from models.starter import weights_path
from worker.commands.weights import drawing, predicted

Double = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

COMPLETENESS = ("none", "partial", "complete")
INTENSITY = ("none", "faint", "weak", "moderate", "intense")
LIMITS = ("c_any", "c_full", "t_faint", "t_weak", "t_moderate", "t_intense")
WITHIN_PX = 12
DISC_UM = 3.2
LEAST_OF_A_STEP = 5
SLIDES = {
    "core0_aa": "wsi_her2/tma_0_nompp.svs",
    "core1_a": "wsi_her2/tma_1plus_generic_mpp.tif",
    "core2_a": "her2_tma_jpeg/2_726fa489-3deb-4d06-ae5c-8f20bd3f3025.jpg",
    "core3_a": "wsi_her2/tma_3plus.svs",
}
"""Where a crop's white point is measured; a field's own otherwise."""
PLACES = np.arange(0.02, 1.3, 0.01)


@dataclass(frozen=True)
class Marked:
    """A detector that draws discs where a reader marked nuclei; x, y in px of NUCLEI_MPP."""

    places: Double
    name: str = "marked"

    def __call__(self, view: View) -> Label:
        labels = np.zeros(view.image.shape[:2], np.int32)
        for number, (x, y) in enumerate(self.places - (view.left, view.top), start=1):
            cv2.circle(labels, (round(x), round(y)), round(DISC_UM / NUCLEI_MPP), number, -1)
        return labels


@dataclass(frozen=True)
class Judged:
    """Cells of all crops: source, what the eye said, and c and intensity (NaN: no nucleus)."""

    source: npt.NDArray[np.str_]
    completeness: Whole
    intensity: Whole
    c: Double
    od: Double


def crops() -> Iterator[tuple[str, Field, list[dict[str, Any]], Double]]:
    """Yield name, pixels with traced masks, judged cells, and marked nuclei of each crop."""
    for path in sorted((DATA / "her2_cells_judged").glob("*.json")):
        name = path.stem
        mpp = CORE_MPP if name.startswith("core") else FIELD_MPP
        image, mask = (read(TRACED / each / f"{name}.png") for each in ("images", "masks"))
        marked = json.loads((DATA / "her2_nuclei_marked" / path.name).read_text())
        places = np.array([(each["x"], each["y"]) for each in marked], np.float64)
        cells = [each for each in json.loads(path.read_text()) if each["completeness"] != "cut"]
        yield name, Field(image, mpp, mask > 0), cells, places * mpp / NUCLEI_MPP


def survey_of(name: str, mpp: float, known: dict[str, Survey]) -> Survey:
    """Measure the white of what a crop was cut from."""
    path = SLIDES.get(source_of(name))
    if path is None:
        number = "_".join(name.removeprefix("eze").split("_")[:2])
        path = str(next((DATA / "her2_fields").glob(f"EZEHER_{number}_*.jpg")).relative_to(DATA))
    if path not in known:
        known[path] = survey(Field(whole(DATA / path), mpp), StainVectors())
    return known[path]


def measured(
    protocol: Protocol,
    predictor: Predictor | None,
    network_for: Callable[[str], Detector] | None,
) -> Judged:
    """Measure all judged cells with one kind of masks (None: traced) and nuclei (None: marked)."""
    rows: list[tuple[str, int, int, float, float]] = []
    known: dict[str, Survey] = {}
    for name, field, cells, places in crops():
        masks: MaskArrays = predicted(field, predictor) if predictor else field.masks
        detections = measure(
            field,
            masks,
            regions=Regions.of([shapely.box(0, 0, field.width, field.height)]),
            settings=Settings(protocol, StainVectors()),
            detector=network_for(source_of(name)) if network_for else Marked(places),
            known=survey_of(name, field.mpp, known),
            workers=1,
            judge_focus=False,
        ).cells
        at = np.array([(each["x"], each["y"]) for each in cells], np.float64)
        away = cdist(at, np.column_stack([detections.x, detections.y])).reshape(len(at), -1)
        ours, theirs = linear_sum_assignment(np.minimum(away, WITHIN_PX))
        pairs: dict[int, int] = dict(zip(ours.tolist(), theirs.tolist(), strict=True))
        for number, cell in enumerate(cells):
            which = pairs.get(number)
            matched = which is not None and away[number, which] < WITHIN_PX
            measures = detections.completeness, detections.intensity
            c, od = (float(each[which]) if matched else float("nan") for each in measures)
            eye = COMPLETENESS.index(cell["completeness"]), INTENSITY.index(cell["intensity"])
            rows.append((source_of(name), *eye, c, od))
    return Judged(*map(np.array, zip(*rows, strict=True)))


def cut(values: Double, above: npt.NDArray[np.bool_]) -> float | None:
    """Return where two groups are best told apart: the middle of the best places."""
    if min(above.sum(), (~above).sum()) < LEAST_OF_A_STEP:
        return None
    right = [(values[above] >= t).mean() + (values[~above] < t).mean() for t in PLACES]
    best = np.flatnonzero(np.asarray(right) >= max(right) - 0.02)
    return float(PLACES[best[len(best) // 2]])


def chosen(cells: Judged, train: npt.NDArray[np.bool_], start: dict[str, float]) -> list[float]:
    """Choose c_any, c_full and the four steps of intensity on some cells."""
    stained = train & (cells.completeness > 0)
    measurable = stained & (cells.od > 0)
    any_, full = (
        cut(cells.c[some], cells.completeness[some] > level)
        for some, level in ((train, 0), (stained, 1))
    )
    weak, moderate, intense = (
        cut(cells.od[measurable], cells.intensity[measurable] >= k) for k in (2, 3, 4)
    )
    weak = weak or start["t_weak"]
    intense = intense or start["t_intense"]
    steps = [start["t_faint"], weak, moderate or (weak + intense) / 2, intense]
    return [any_ or start["c_any"], full or start["c_full"], *np.maximum.accumulate(steps)]


def read_as(cells: Judged, limits: list[float]) -> tuple[Whole, Whole]:
    """Return completeness and intensity of cells by these limits."""
    c, od = np.nan_to_num(cells.c), np.nan_to_num(cells.od)
    level = np.digitize(od, limits[2:])
    stained = (c >= limits[0]) & (level > 0)
    complete = np.where(stained, 1 + (c >= limits[1]), 0)
    return complete.astype(np.int64), np.where(stained, level, 0).astype(np.int64)


def agreement(cells: Judged, read_: tuple[Whole, Whole], some: npt.NDArray[np.bool_]) -> Any:
    """κ of both and the tables behind them (rows: the eye)."""
    figures: dict[str, Any] = {"cells": int(some.sum())}
    eyes = (cells.completeness, cells.intensity)
    for name, names, eye, ours in zip(
        ("completeness", "intensity"), (COMPLETENESS, INTENSITY), eyes, read_, strict=True
    ):
        table = np.zeros((len(names), len(names)), np.int64)
        np.add.at(table, (eye[some], ours[some]), 1)
        figures[name] = {"kappa": rounded(float(kappa(table))), "table": table.tolist()}
    return figures


def rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)


def judged(cells: Judged, protocol: Protocol) -> dict[str, Any]:
    """Compare with the eye, thresholds as they are and of other sources."""
    detected = ~np.isnan(cells.c)
    start = {name: getattr(protocol, name) for name in LIMITS}
    own = read_as(cells, list(start.values()))
    others = np.zeros_like(own[0]), np.zeros_like(own[1])
    limits = {}
    stained_sources = np.unique(cells.source[cells.completeness > 0])
    for source in np.unique(cells.source):
        here = cells.source == source
        values = chosen(cells, ~here & detected, start)
        limits[str(source)] = dict(zip(LIMITS, np.round(values, 3).tolist(), strict=True))
        for into, part in zip(others, read_as(cells, values), strict=True):
            into[here] = part[here]
    stained = detected & np.isin(cells.source, stained_sources)
    return {
        "without_nucleus": int((~detected).sum()),
        "judged": len(detected),
        "chosen": limits,
        **{
            name: {
                "all": agreement(cells, read_, detected),
                "stained sources": agreement(cells, read_, stained),
                **{
                    str(source): agreement(cells, read_, detected & (cells.source == source))
                    for source in stained_sources
                },
            }
            for name, read_ in (("start values", own), ("other sources", others))
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folds", type=Path)
    asked = parser.parse_args()
    if not TRACED.is_dir():
        parser.error(f"{TRACED} is not there: set MEMBRANA_TEST_DATA to the folder of public sets.")
    protocol = load("asco_cap_2023_breast")
    ways: dict[str, Callable[[str], Detector] | None] = {
        "marked nuclei": None,
        "nuclei of the network": unseen_networks(asked.folds),
    }
    predictors = {
        "traced masks": None,
        "the stain rule's masks": ColdStart(),
        "the starter's masks": drawing(weights_path()).predictor,
    }
    figures = {
        f"{masks}, {nuclei}": judged(measured(protocol, predictor, networks), protocol)
        for masks, predictor in predictors.items()
        for nuclei, networks in ways.items()
    }
    record("judged_cells", figures)


if __name__ == "__main__":
    main()
