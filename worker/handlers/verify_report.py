"""Compute a report again from its inputs and compare: nothing of the first time is used."""

import json

from backend.errors import Conflict
from backend.reports import service as reports
from models.her2.slide_score import canonical
from worker.context import JobContext
from worker.handlers.report import judged, read
from worker.her2 import measurement

SHOWN = 20


class ReportDiffers(Conflict):
    code, title = "report_differs", "The report can't be computed again as it is"


def run(context: JobContext) -> None:
    task = read(context)
    with context.reading() as session:
        report = reports.computed(session, task.report.id)

    def progress(done: int, total: int) -> None:
        context.check()
        context.progress(done / (total + 1), f"{done} of {total} parts measured again")

    with measurement.opened(task.slide, report.inputs, context.blobs, context.settings) as on:
        found = measurement.measured(on, threads=context.settings.threads, progress=progress)
        scored, _ = judged(context, task, on, found)
    before = json.loads(context.blobs.read(str(report.document_sha256)))
    after = json.loads(canonical(scored.document))
    differing = measurement.differences(before, after)
    if measurement.put_cells(context.blobs, found.cells) != report.files["measured"]:
        differing.insert(0, "cells")
    if differing:
        shown = ", ".join(differing[:SHOWN])
        raise ReportDiffers(f"Computed again, these values differ: {shown}.", differs=differing)
