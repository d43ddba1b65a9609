"""Compute a report again from its inputs and compare: nothing of the first time is used."""

import json
from collections.abc import Mapping
from typing import Any

from backend.her2.reports import integrity
from backend.her2.reports import service as reports
from backend.kit.errors import Conflict
from backend.kit.signing_key import trusted
from models.canonical import canonical
from worker.context import JobContext
from worker.handlers.report import exported, judged, read
from worker.her2 import first_schema, measurement

SHOWN = 20


class ReportDiffers(Conflict):
    code, title = "report_differs", "The report can't be computed again as it is"


class ReportAltered(Conflict):
    code, title = "report_altered", "What is stored of the report was changed"


def run(context: JobContext) -> None:
    with context.reading() as session:
        report = reports.computed(session, context.subject)
        keys = trusted(context.settings.signing_key_file)
        altered = integrity.altered(session, context.blobs, report, keys)
    if altered:
        raise ReportAltered(
            f"These are not as they were when the report was made: {listed(altered)}.",
            differs=altered,
        )
    task = read(context)

    def progress(done: int, total: int) -> None:
        context.check()
        context.progress(done / (total + 1), f"{done} of {total} parts measured again")

    with measurement.opened(task.slide, report.inputs, context.blobs, context.settings) as on:
        measured = measurement.measured(on, threads=context.settings.threads, progress=progress)
        scored, placed = judged(context, task, on, measured)
        export_files = exported(context, task, on, scored, placed, stored={})
    before = json.loads(context.blobs.read(str(report.document_sha256)))
    after = json.loads(canonical(scored.document))
    differing = measurement.differences(*first_schema.alike(before, after))
    export_files["measured"] = measurement.put_cells(context.blobs, measured.cells)
    export_files["remarks"] = context.blobs.put(measured.remarks())
    if same_software(before, after):
        differing += [
            f"files.{name}"
            for name, sha256 in sorted(report.files.items())
            if export_files.get(name, sha256) != sha256
        ]
    elif export_files["measured"] != report.files["measured"]:
        differing.append("files.measured")
    if differing:
        raise ReportDiffers(
            f"Computed again, these differ: {listed(differing)}.", differs=differing
        )


def same_software(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Say whether files have to be equal: another version may lay them out otherwise."""
    names = ("version", "code_sha256")
    ours, theirs = (each["provenance"]["software"] for each in (before, after))
    return all(ours[name] == theirs[name] for name in names)


def listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
