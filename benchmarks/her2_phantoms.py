"""HER2 scores of random phantoms against their known cells: category, percentages, classes.

`python -m benchmarks.her2_phantoms --count 200 [--jobs 4]`. Stain, light, blur, JPEG, density and
clutter differ from phantom to phantom; masks are the phantoms' own, so this judges what comes after
the network that draws them. With `--masks starter` or `cold-start` they are the shipped model's or
the stain rule's proposals, on phantoms as on controls: the first day from end to end
(her2_phantoms_starter_network.json). Nuclei are the network's (…_network.json) or the rule's,
`--detector rule`. Each phantom is a laboratory: it has control tissue of its look, and is scored
twice, with the protocol's start values and calibrated on the controls, whose negative one also says
how many cells are stained where none is. Goal: 95 % of categories right.

Finished phantoms lie in --work as JSON and are not done again.
"""

import argparse
import json
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely
from scipy.spatial import cKDTree

from backend.her2.scores.detector import SHIPPED
from benchmarks.phantom_figures import blanks, judged
from benchmarks.record import record
from models.cold_start import ColdStart
from models.her2 import calibrate
from models.her2.calibrate import CalibrationError, vectors_of
from models.her2.cells import Cells
from models.her2.classes import CLASSES, SCORES
from models.her2.decision import decide
from models.her2.pixels import Field, MaskArrays, Regions
from models.her2.protocols import Protocol, load, read_calibration
from models.her2.tile import Settings
from models.her2.tiles import Measured, measure
from models.her2.white_point import measure_white
from models.phantom import PhantomSpec, region
from models.phantom.tumour import richest_place, tumour_mask
from models.prediction import Predictor
from models.stain import WHITE, StainVectors, estimate_vectors
from models.starter import weights_path
from models.whole_file import whole_file
from worker.commands.weights import drawing, predicted
from worker.her2.detector import detector

TRUE, STARTER, PROPOSED = "true", "starter", "cold-start"
RULE, NETWORK = "rule", "network"
PROTOCOL = "asco_cap_2023_breast"
SIDE, RIM = 1280, 64
CONTROL_SIDES = (896, 1280)
"""A control of sparse tissue that has too few cells is cut larger."""
FAR = 40_000
APART_UM = 5.0
"""A nucleus found this far from a true one is another cell's."""
CONTROLS = {
    "negative": (1.0, 0, 0, 0, 0, 0, 0, 0, 0),
    "low": (0.1, 0.8, 0.1, 0, 0, 0, 0, 0, 0),
    "strong": (0, 0, 0, 0, 0, 0, 0.05, 0.05, 0.9),
}


def spec_of(number: int) -> PhantomSpec:
    """A random phantom; the scores take turns."""
    g = np.random.default_rng([2026, number])
    return PhantomSpec(
        seed=5_000 + number,
        her2=SCORES[number % len(SCORES)],
        outline=False,
        cell_um=float(g.uniform(10.5, 16)),
        tumour=float(g.uniform(0.5, 0.9)),
        cytoplasm=float(g.uniform(0, 0.8)),
        stroma=float(g.uniform(0, 0.8)),
        brown_nuclei=float(g.uniform(0, 0.25)),
        broken=float(g.uniform(0.1, 0.7)),
        stain_variation=float(g.uniform(0, 1)),
        blur_um=float(g.uniform(0.1, 0.5)),
        noise=float(g.uniform(0.5, 3)),
        jpeg_quality=int(g.integers(60, 96)),
        edge_artefact=float(g.uniform(0, 0.8)),
        dust=float(g.uniform(0, 0.5)),
        out_of_focus=0.0,
    )


@dataclass(frozen=True)
class Truth:
    """The cells that were drawn: centres (n, 2), px, and classes (n,)."""

    at: np.ndarray
    label: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        return np.bincount(self.label, minlength=len(CLASSES))

    def confusion(self, cells: Cells, mpp: float) -> np.ndarray:
        """Cells that lie nearest to each other, by true (row) and found class; (9, 9)."""
        centres = np.column_stack([cells.x, cells.y])
        away, which = map(np.asarray, cKDTree(centres).query(self.at))
        back = np.asarray(cKDTree(self.at).query(centres)[1])
        pairs = (away * mpp < APART_UM) & (back[which] == np.arange(len(self.at)))
        table = np.zeros((len(CLASSES), len(CLASSES)), int)
        np.add.at(table, (self.label[pairs], cells.label[which[pairs]]), 1)
        return table


@dataclass(frozen=True)
class How:
    """Where masks come from, and what finds nuclei."""

    masks: str
    detector: str

    @property
    def result(self) -> str:
        """The name of the file of results."""
        of_masks = "" if self.masks == TRUE else f"_{self.masks.replace('-', '_')}"
        return f"her2_phantoms{of_masks}" + ("" if self.detector == RULE else "_network")


def drawn(spec: PhantomSpec, side: int, far: int = 0) -> tuple[Field, Regions, Truth]:
    """A field, its tumour as a person would outline it, and the true cells in there."""
    x0, y0 = richest_place(spec, side, far)
    picture = region(spec, x0, y0, side, side, jpeg=True)
    ground = tumour_mask(spec, x0, y0, side, side).astype(np.uint8)
    opened = cv2.morphologyEx(ground, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    outlines, tree = cv2.findContours(opened, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parts: dict[bool, list[Any]] = {True: [], False: []}
    for outline, (_, _, _, parent) in zip(outlines, tree[0], strict=True):
        if len(outline) > 3:
            parts[parent < 0].append(shapely.Polygon(outline[:, 0] * 2 + 1.0))
    whole = Regions.of(parts[True], parts[False]).tumour
    inner = shapely.box(RIM, RIM, side - RIM, side - RIM)
    regions = Regions.of([shapely.intersection(whole, inner)])
    x, y = picture.cells.x0 - x0, picture.cells.y0 - y0
    inside = regions.holds(x.astype(np.float64), y.astype(np.float64))
    truth = Truth(np.column_stack([x, y])[inside], picture.cells.label[inside])
    return Field(picture.image, spec.mpp, picture.mask > 0), regions, truth


def masks_of(field: Field, masks: str) -> MaskArrays:
    return field.masks if masks == TRUE else predicted(field, predictor(masks))


@cache
def predictor(masks: str) -> Predictor:
    return drawing(weights_path()).predictor if masks == STARTER else ColdStart()


def measured(
    field: Field, masks: MaskArrays, regions: Regions, settings: Settings, finder: str
) -> Measured:
    # a detector keeps what it has seen of one slide
    nuclei = detector(SHIPPED) if finder == NETWORK else None
    return measure(field, masks, regions=regions, settings=settings, workers=1, detector=nuclei)


def calibrated(spec: PhantomSpec, protocol: Protocol, how: How) -> tuple[Protocol, Cells]:
    """The protocol with thresholds and stain vectors of this laboratory's controls.

    Beside it the cells of the negative control.
    """
    for side in CONTROL_SIDES:
        vectors, cells = controls(spec, protocol, side, how)
        if min(map(len, cells)) >= calibrate.LEAST_CELLS:
            break
    negative, low, strong = cells
    content = calibrate.document(
        protocol,
        calibrate.thresholds(negative, low, strong, protocol),
        on="2026-01-01",
        stain=vectors,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calibration.json"
        path.write_text(json.dumps(content))
        return load(PROTOCOL, calibration=read_calibration(path, protocol=PROTOCOL)), negative


def controls(
    spec: PhantomSpec, protocol: Protocol, side: int, how: How
) -> tuple[StainVectors | None, list[Cells]]:
    """Stain vectors and cells of the negative, the 1+ and the 3+ control."""
    fields = {name: drawn(replace(spec, mix=mix), side, FAR) for name, mix in CONTROLS.items()}
    strong = fields["strong"][0].image
    vectors = estimate_vectors(strong, measure_white(strong) or WHITE)
    settings = Settings(protocol, vectors or vectors_of(protocol))
    return vectors, [
        measured(field, masks_of(field, how.masks), regions, settings, how.detector).cells
        for field, regions, _ in fields.values()
    ]


def dice(proposed: np.ndarray, true: np.ndarray) -> float | None:
    """How well a mask covers the true one; None where there is no membrane to be covered."""
    both = int(proposed.sum()) + int(true.sum())
    return round(2 * int((proposed & true).sum()) / both, 4) if true.any() else None


def run(number: int, how: How) -> dict[str, Any]:
    spec = spec_of(number)
    protocol = load(PROTOCOL)
    field, regions, truth = drawn(spec, SIDE)
    given = masks_of(field, how.masks)
    row: dict[str, Any] = {
        "number": number,
        "spec": asdict(spec),
        "truth": {
            "counts": truth.counts.tolist(),
            "score": decide(truth.counts, protocol).score,
        },
        "mask_dice": dice(given.membrane, field.masks.membrane),
        "refused": None,
        "blank_percent": None,
    }
    laboratory = protocol
    try:
        laboratory, blank = calibrated(spec, protocol, how)
        row["blank_percent"] = {
            name: round(100 * float((blank.relabelled(rules).label > 0).mean()), 3)
            for name, rules in (("start", protocol), ("calibrated", laboratory))
        }
    except CalibrationError as error:
        row["refused"] = str(error)
    for name, rules in (("start", protocol), ("calibrated", laboratory)):
        settings = Settings(rules, vectors_of(rules))
        measurement = measured(field, given, regions, settings, how.detector)
        verdict = decide(measurement.cells.counts, rules)
        row[name] = {
            "counts": measurement.cells.counts.tolist(),
            "confusion": truth.confusion(measurement.cells, spec.mpp).tolist(),
            "score": verdict.score,
            "reason": verdict.reason,
            "thresholds": rules.thresholds,
            "residual": round(measurement.survey.residual, 4),
        }
    return row


def resumed(number: int, work: Path, how: How) -> dict[str, Any]:
    path = work / f"{number:04}.{how.masks}.{how.detector}.json"
    if path.is_file():
        before: dict[str, Any] = json.loads(path.read_text())
        return before
    row = run(number, how)
    with whole_file(path) as fresh:
        fresh.write_text(json.dumps(row))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("/tmp/her2_phantoms"))
    parser.add_argument("--masks", choices=(TRUE, STARTER, PROPOSED), default=TRUE)
    parser.add_argument("--detector", choices=(RULE, NETWORK), default=NETWORK)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    how = How(asked.masks, asked.detector)
    of_all = partial(resumed, work=asked.work, how=how)
    with ProcessPoolExecutor(asked.jobs) as pool:
        rows = list(pool.map(of_all, range(asked.count)))
    figures = {name: judged(rows, name) for name in ("start", "calibrated")}
    dices = [row["mask_dice"] for row in rows if row["mask_dice"] is not None]
    record(
        how.result,
        {
            "phantoms": asked.count,
            "side_px": SIDE,
            "masks": asked.masks,
            "detector": asked.detector,
            "mask_dice": {"mean": round(float(np.mean(dices)), 4), "least": min(dices)},
            "calibration_refused": {
                str(row["number"]): row["refused"] for row in rows if row["refused"]
            },
            "blank": blanks(rows),
            **figures,
        },
    )


if __name__ == "__main__":
    main()
