"""Compute a report: measure the slide's cells once, score them with people's decisions, export.

Measuring is the long part. Its result is kept in the row as soon as it is there, so a restart, and
every decision on a cell, goes on from it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.exchange.reports.dicom_slides import DICOM, DicomIncomplete
from backend.her2.reports import edits
from backend.her2.reports import service as reports
from backend.her2.reports.tables import Report
from backend.learning.predictions import service as predictions
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from models.canonical import canonical
from models.her2.cells import Cells
from worker.context import JobContext
from worker.exporters import REPORT_FILES
from worker.exporters.exporter import Scene
from worker.her2 import decisions, measurement, report_figures, stopping
from worker.her2.decisions import Placed
from worker.her2.document import CellEdit, Scored
from worker.her2.measurement import Measurement, Opened

log = logging.getLogger(__name__)
MEASURING = 0.85
"""Share of the work that measuring is, as far as people are told."""


class PredictionChanged(predictions.NoPrediction):
    code, title = "prediction_changed", "The membranes are no longer those asked for"


@dataclass(frozen=True)
class Task:
    """A report with what its computation needs of the database.

    `judged`: the cells that somebody decided on in the report, `edits` what stands of that.
    """

    report: Report
    slide: Slide
    edits: Sequence[CellEdit]
    judged: frozenset[int]


def run(context: JobContext) -> None:
    task = read(context)
    with measurement.opened(task.slide, task.report.inputs, context.blobs, context.settings) as on:
        measured = measured_once(context, task.report, on)
        context.check()
        scored, placed = judged(context, task, on, measured)
        export_files = exported(context, task, on, scored, placed, stored=task.report.files)
    # before the writing begins: on SQLite every writer would wait for the disk
    sha256 = context.blobs.put(canonical(scored.document))
    with context.finishing() as session:
        reports.finish(session, task.report.id, scored.document, sha256, **export_files)


def read(context: JobContext) -> Task:
    """Return the report of a job; refuse if its prediction is not there as it was."""
    with context.reading() as session:
        report = reports.get(session, context.subject)
        slide = slides.get(session, report.slide_id)
        model = report.inputs["model"]
        prediction = predictions.of_version(session, slide.id, model["id"])
        if prediction is None or prediction.sha256 != model["prediction_sha256"]:
            raise PredictionChanged(
                f"The prediction of {model['name']} was made anew since the report was asked for."
            )
        every = edits.of_report(session, report)
        counted = [CellEdit(each.cell, each.label) for each in edits.standing(every)]
        return Task(report, slide, counted, frozenset(each.cell for each in every))


def judged(
    context: JobContext, task: Task, on: Opened, measured: Measurement
) -> tuple[Scored, list[Placed]]:
    """Score with the slide's decisions that the report froze, and over them the report's own."""
    report = task.report
    placed = decisions.placed(measured.cells, report.inputs, context.blobs, task.judged)
    counted = [*decisions.edits(placed), *task.edits]
    scored = measurement.scored(on, measured, counted, report.inputs, report.assay)
    scored.document["decisions"] = decisions.summary(placed)
    scored.document["stop"] = stopping.of(on, scored, report.inputs, context.blobs, None)
    return scored, placed


def measured_once(context: JobContext, report: Report, on: Opened) -> Measurement:
    """Return the measurement of an earlier attempt, or measure and keep it."""
    before = report.files
    if "measured" in before:
        cells = Cells.load(context.blobs.path(before["measured"]))
        return Measurement.restored(cells, context.blobs.read(before["remarks"]), on)

    def progress(done: int, total: int) -> None:
        context.check()
        context.progress(MEASURING * done / total, f"{done} of {total} parts measured")

    measured = measurement.measured(on, threads=context.settings.threads, progress=progress)
    blobs = {
        "measured": measurement.put_cells(context.blobs, measured.cells),
        "remarks": context.blobs.put(measured.remarks()),
    }
    with context.writing() as session:
        reports.keep_files(session, report.id, **blobs)
    return measured


def exported(
    context: JobContext,
    task: Task,
    on: Opened,
    scored: Scored,
    placed: Sequence[Placed],
    *,
    stored: Mapping[str, str],
) -> dict[str, str]:
    """Store what a report's exports are made of; return each one's sha256 by name.

    kept: what is stored of it already; what follows from the inputs alone is not made again.
    """
    blobs = context.blobs
    heat = scored.document["heterogeneity"]
    context.progress(MEASURING, "cutting pictures")
    shown = report_figures.figures(
        on.pixels,
        scored.cells,
        scored.included,
        heat["map"],
        heat["tile_um"],
        on.polygons,
        on.regions,
        blobs.put,
    )
    context.check()
    return {
        "figures": blobs.put(canonical(shown)),
        "cells": measurement.put_cells(blobs, scored.cells),
        "decisions": blobs.put(decisions.evidence(placed)),
        **files(context, Scene(task.report, task.slide, context.settings, on, scored), stored),
    }


def files(context: JobContext, scene: Scene, stored: Mapping[str, str]) -> dict[str, str]:
    """Store the files that exporters make; return each one's sha256 by name."""
    digests = {}
    for exporter in REPORT_FILES:
        if exporter.of_dicom and scene.slide.vendor != DICOM:
            continue
        if exporter.of_inputs and exporter.name in stored:
            continue
        context.check()
        try:
            content = exporter.write(scene)
        except DicomIncomplete as why:
            log.info("no DICOM exports of this slide: %s", why.detail)
            continue
        if isinstance(content, bytes):
            digests[exporter.name] = context.blobs.put(content)
        elif content is not None:
            digests[exporter.name] = measurement.put_gzipped(context.blobs, content)
    return digests
