"""When may a reader stop? The rule of models/her2/stopping.py, on phantoms with a simulated reader.

`python -m benchmarks.stopping --part bank|choose|judge|tables [--count N] [--work DIR]`. Masks are
proposed by the shipped starter (the bank has the cold start's, too); the reader corrects a patch of
256 px to the phantom's own mask, the places of the rule in their order or at random, until the rule
is met or nothing is left. Thresholds are measured on each phantom's own controls, with masks that a
person drew. The bank's phantoms, those that the width of the rule is chosen on and those that judge
it are of three ranges of numbers. Finished phantoms lie in --work as JSON and are not done again.
"""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from backend.her2.scores.detector import SHIPPED
from benchmarks import stopping_tables
from benchmarks.her2_phantoms import (
    NETWORK,
    PROTOCOL,
    TRUE,
    How,
    calibrated,
    dice,
    drawn,
    spec_of,
)
from benchmarks.record import record
from models.canonical import canonical
from models.cold_start import ColdStart
from models.her2.calibrate import CalibrationError, vectors_of
from models.her2.cells import Cells
from models.her2.classes import CLASSES
from models.her2.decision import decide
from models.her2.nuclei import Detector
from models.her2.pixels import Field, MaskArrays, Regions
from models.her2.protocols import Protocol, load
from models.her2.slide_score import summarise
from models.her2.stopping import WIDTH, Open, Stop, rule
from models.her2.tile import Settings
from models.her2.tiles import measure
from models.her2.transitions import BINS, SCHEMA, kinds_of, normed, shipped, transitions
from models.her2.white_point import Survey
from models.prediction import Predictor
from models.starter import weights_path
from models.whole_file import whole_file
from worker.commands.weights import predicted, trained
from worker.her2.detector import detector

SIDE, PATCH = 1536, 256
FIRST = {"bank": 10_000, "choose": 20_000, "judge": 30_000}
COUNT = {"bank": 120, "choose": 60, "judge": 200}
WIDTHS = (1.0, 1.25, 1.5, 2.0)
BANK = Path(__file__).parents[1] / "models" / "her2" / "transitions.json"


@dataclass(frozen=True)
class Case:
    """A phantom as its reader finds it."""

    number: int
    field: Field
    regions: Regions
    protocol: Protocol
    nuclei: Detector
    true: str

    @property
    def settings(self) -> Settings:
        return Settings(self.protocol, vectors_of(self.protocol))

    def measure(self, masks: MaskArrays, known: Survey | None = None, **more: Any) -> Any:
        return measure(
            self.field,
            masks,
            regions=self.regions,
            settings=self.settings,
            detector=self.nuclei,
            known=known,
            workers=1,
            judge_focus=False,
            **more,
        )

    def document(self, cells: Cells) -> dict[str, Any]:
        return summarise(cells.tile_counts(self.protocol), self.protocol)

    def place(self, cells: Cells) -> np.ndarray:
        row, column = (np.floor(each / PATCH).astype(np.int64) for each in (cells.y, cells.x))
        return row * (SIDE // PATCH) + column


@cache
def proposers() -> dict[str, Predictor]:
    return {"starter": trained(weights_path()), "cold-start": ColdStart()}


def case_of(number: int) -> Case:
    spec = spec_of(number)
    protocol = load(PROTOCOL)
    field, regions, truth = drawn(spec, SIDE)
    true = decide(truth.counts, protocol).score
    # a laboratory whose controls do not follow each other scores with start values
    with suppress(CalibrationError):
        protocol, _ = calibrated(spec, protocol, How(TRUE, NETWORK))
    return Case(number, field, regions, protocol, detector(SHIPPED), true)


def banked(number: int) -> dict[str, Any]:
    """What correcting all of a phantom makes of its cells, by proposer."""
    case = case_of(number)
    after = case.measure(case.field.masks)
    row: dict[str, Any] = {"number": number}
    for name, proposer in proposers().items():
        before = case.measure(predicted(case.field, proposer), after.survey).cells
        table = transitions(before, after.cells, case.protocol)
        row[name] = {
            "table": table.round(4).tolist(),
            "patches": patches(case, before, after.cells, table),
        }
    return row


def patches(case: Case, before: Cells, after: Cells, table: np.ndarray) -> list[float]:
    """Squared errors of the phantom's table on its patches, and their variance if independent."""
    chance = normed(table)[:, : len(CLASSES)]
    kinds, places = kinds_of(before, case.protocol), case.place(before)
    error = expected = 0.0
    for place in np.unique(places):
        here = np.bincount(kinds[places == place], minlength=BINS)
        there = after.label[case.place(after) == place]
        error += float(np.square(np.bincount(there, minlength=len(CLASSES)) - here @ chance).sum())
        expected += float((here @ (chance * (1 - chance))).sum())
    return [error, expected]


def write_bank(rows: list[dict[str, Any]]) -> None:
    names = list(proposers())
    tables = [row[name]["table"] for name in names for row in rows]
    error, expected = np.sum([row[name]["patches"] for name in names for row in rows], axis=0)
    document = {
        "schema": SCHEMA,
        "made_by": "python -m benchmarks.stopping --part bank",
        "phantoms": [rows[0]["number"], rows[-1]["number"]],
        "proposers": names,
        "spread": round(float(error / expected), 3),
        "transitions": [[[round(x, 2) for x in line] for line in table] for table in tables],
    }
    with whole_file(BANK) as fresh:
        fresh.write_bytes(canonical(document))


def read(
    case: Case, proposed: MaskArrays, first: Any, *, at_random: bool, width: float
) -> dict[str, Any]:
    """Correct place after place until the rule is met; return each step."""
    truth = case.field.masks.membrane
    membrane, reviewed = proposed.membrane.copy(), np.zeros_like(proposed.membrane)
    before = cells = first.cells
    lot = np.random.default_rng(case.number).permutation((SIDE // PATCH) ** 2)
    done: list[int] = []
    steps = []
    while True:
        document = case.document(cells)
        slide = Open.of(
            cells, np.ones(len(cells), np.bool_), case.place(cells), case.regions, case.protocol
        )
        seen = transitions(
            before.take(np.isin(case.place(before), done)),
            cells.take(np.isin(case.place(cells), done)),
            case.protocol,
        )
        readable = ~np.isin(slide.place, done)
        stop = rule(document, case.protocol, slide, readable, shipped(), seen=seen, width=width)
        steps.append(step_of(document, stop))
        left = [each for each in lot if each in slide.place[readable]] if at_random else stop.places
        if stop.met or not len(left):
            return {"steps": steps}
        done.append(int(left[0]))
        row, column = divmod(done[-1], SIDE // PATCH)
        here = np.s_[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
        membrane[here], reviewed[here] = truth[here], True
        box = (column * PATCH, row * PATCH, (column + 1) * PATCH, (row + 1) * PATCH)
        part = case.measure(MaskArrays(membrane, reviewed), first.survey, within=[box])
        cells = part.put_into(cells)


def step_of(document: dict[str, Any], stop: Stop) -> dict[str, Any]:
    return {
        "score": document["score"],
        "met": stop.met,
        "confidence": stop.confidence,
        "left": len(stop.places),
        "after_them": stop.after_them,
        "could_become": list(stop.chances),
        "intervals": {test: list(each) for test, each in stop.intervals.items()},
    }


def judged(number: int, widths: tuple[float, ...]) -> dict[str, Any]:
    began = time.perf_counter()
    case = case_of(number)
    proposed = predicted(case.field, proposers()["starter"])
    first = case.measure(proposed)
    everything = case.document(case.measure(case.field.masks, first.survey).cells)
    row: dict[str, Any] = {
        "number": number,
        "true": case.true,
        "calibrated": case.protocol.calibration is not None,
        "dice": dice(proposed.membrane, case.field.masks.membrane),
        "cells": len(first.cells),
        "places": len(np.unique(case.place(first.cells))),
        "everything": everything["score"],
        "shares": {each["test"]: each["percent_now"] for each in everything["distance"]},
        "by_width": {},
    }
    for width in widths:
        row["by_width"][str(width)] = {
            name: read(case, proposed, first, at_random=at_random, width=width)
            for name, at_random in (("rule", False), ("random", True))
            if name == "rule" or len(widths) == 1
        }
    row["seconds"] = round(time.perf_counter() - began, 1)
    return row


def resumed(
    part: str, count: int, work: Path, widths: tuple[float, ...]
) -> Iterator[dict[str, Any]]:
    work.mkdir(parents=True, exist_ok=True)
    for number in range(FIRST[part], FIRST[part] + count):
        path = work / f"{part}.{number}.json"
        if not path.is_file():
            row = banked(number) if part == "bank" else judged(number, widths)
            with whole_file(path) as fresh:
                fresh.write_text(json.dumps(row))
            print(part, number, flush=True)
        yield json.loads(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=(*FIRST, "tables"), required=True)
    parser.add_argument("--count", type=int)
    parser.add_argument("--width", type=float)
    parser.add_argument("--work", type=Path, default=Path("/tmp/stopping"))
    asked = parser.parse_args()
    count = asked.count or COUNT.get(asked.part, 0)
    widths = WIDTHS if asked.part == "choose" else (asked.width or WIDTH,)
    if asked.part == "tables":
        record("stopping", stopping_tables.figures(asked.work))
        return
    rows = list(resumed(asked.part, count, asked.work, widths))
    if asked.part == "bank":
        write_bank(rows)


if __name__ == "__main__":
    main()
