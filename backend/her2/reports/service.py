"""Reports: asked for, computed by a job, corrected cell by cell, amended by another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from backend.her2.classes import CLASSES
from backend.her2.reports import requests
from backend.her2.reports.requests import ReportRequest
from backend.her2.reports.tables import Report, ReportState
from backend.her2.scores import service as scores
from backend.her2.scores.changes import touch
from backend.her2.scores.statements import Statements
from backend.her2.scores.tables import CellAction
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.repeats import IdempotencyKey, same_request
from backend.jobs.tables import Job
from backend.kit.db.base import now
from backend.kit.errors import Conflict, NotFound, Unprocessable
from backend.kit.events.service import announce
from backend.kit.states import move, move_or_conflict
from backend.kit.storage.blobs import Blobs
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import service as slides


class ReportNotFound(NotFound):
    code = "report_not_found"


class ReportNotReady(Conflict):
    code, title = "report_not_ready", "The report is not computed yet"


class ReportNotDraft(Conflict):
    code, title = "report_state", "Only a draft can be changed"


class CellUnknown(Unprocessable):
    code, title = "cell_unknown", "There is no such cell"


@dataclass(frozen=True)
class Decision:
    """What a person decides of one cell, by its number."""

    cell: int
    action: CellAction
    label: str | None = None


def get(session: Session, report_id: str) -> Report:
    report = session.get(Report, report_id)
    if report is None:
        raise ReportNotFound("There is no report with this id.")
    return report


def computed(session: Session, report_id: str) -> Report:
    """Return a report that has a document; raise ReportNotReady with the reason otherwise."""
    report = get(session, report_id)
    if report.state == ReportState.FAILED:
        why = (report.problem or {}).get("detail", "")
        raise ReportNotReady(f"The report could not be computed. {why}", code="report_failed")
    if report.state == ReportState.COMPUTING or report.document_sha256 is None:
        raise ReportNotReady("The report is being computed; its job says how far it is.")
    return report


def of_slide(session: Session, slide_id: str) -> Select[Report]:
    slides.get(session, slide_id)
    return select(Report).where(Report.slide_id == slide_id)


@dataclass(frozen=True)
class Snapshot:
    """What a report is asked for with: its inputs, and what was said of the slide's staining."""

    slide_id: str
    wanted: ReportRequest
    inputs: dict[str, Any]
    statements: Statements


def freeze(
    session: Session, blobs: Blobs, settings: Settings, slide_id: str, wanted: ReportRequest
) -> Snapshot:
    """Freeze a slide as it is now.

    It hashes, reads and stores files: on SQLite no writer may wait for that, so it goes before
    `request` and `amend`, in a transaction that only reads.
    """
    inputs = requests.of_report(session, blobs, settings, slide_id, wanted)
    return Snapshot(slide_id, wanted, inputs, Statements.of_slide(session, blobs, slide_id))


def request(
    session: Session,
    settings: Settings,
    snapshot: Snapshot,
    *,
    by: User,
    idempotency_key: IdempotencyKey | None = None,
) -> tuple[Report, Job]:
    """Ask for a frozen slide to be scored; the same request that is going on is returned."""
    if known := asked_before(session, idempotency_key):
        return known
    slide_id, wanted, inputs = snapshot.slide_id, snapshot.wanted, snapshot.inputs
    statements = snapshot.statements
    slides.visible(session, slide_id)
    assay = statements.assay | wanted.assay
    going_on = select(Report).where(
        Report.slide_id == slide_id, Report.state == ReportState.COMPUTING
    )
    for report in session.scalars(going_on):
        job = jobs.active_job(session, JobKind.REPORT, report.id)
        same = (report.inputs, report.assay, report.ish) == (inputs, assay, statements.ish)
        if job and same and wanted.ish is None and report.amends_id is None:
            return report, job
    report = Report(
        slide_id=slide_id,
        requested_by=by.id,
        inputs=inputs,
        assay=assay,
        ish=wanted.ish.entered(by) if wanted.ish else statements.ish,
    )
    return start(session, settings, report, by=by, idempotency_key=idempotency_key)


def amendable(session: Session, report_id: str) -> Report:
    """Return a report that may be amended: a signed one."""
    old = get(session, report_id)
    if old.state != ReportState.SIGNED:
        raise ReportNotDraft(
            f"The report is {old.state}: only a signed one is amended; change a draft itself.",
        )
    return old


def amend(
    session: Session,
    settings: Settings,
    report_id: str,
    snapshot: Snapshot,
    *,
    reason: str,
    by: User,
    idempotency_key: IdempotencyKey | None = None,
) -> tuple[Report, Job]:
    """Begin the next version of a signed report, computed anew; the old one stays as signed."""
    if known := asked_before(session, idempotency_key):
        return known
    old = amendable(session, report_id)
    wanted, statements = snapshot.wanted, snapshot.statements
    report = Report(
        slide_id=old.slide_id,
        requested_by=by.id,
        inputs=snapshot.inputs,
        assay=statements.assay | (wanted.assay or old.assay),
        ish=wanted.ish.entered(by) if wanted.ish else latest(statements.ish, old.ish),
        version=old.version + 1,
        amends_id=old.id,
        amendment_reason=reason,
    )
    return start(session, settings, report, by=by, idempotency_key=idempotency_key)


def latest(*entered: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the result of a hybridisation that was entered last."""
    return max(filter(None, entered), key=lambda each: str(each["entered_at"]), default=None)


def asked_before(
    session: Session, idempotency_key: IdempotencyKey | None
) -> tuple[Report, Job] | None:
    """Return the report that a request with this key has begun."""
    job = same_request(session, idempotency_key)
    return (get(session, job.subject), job) if job else None


def start(
    session: Session,
    settings: Settings,
    report: Report,
    *,
    by: User,
    idempotency_key: IdempotencyKey | None,
) -> tuple[Report, Job]:
    session.add(report)
    session.flush()
    job = compute(session, settings, report, by=by, idempotency_key=idempotency_key)
    audit.record(
        session,
        by,
        "report.requested",
        Report.TOPIC,
        report.id,
        slide_id=report.slide_id,
        version=report.version,
        amends=report.amends_id,
    )
    announce(session, Report.TOPIC, report.id, {"state": str(report.state)})
    return report, job


def compute(
    session: Session,
    settings: Settings,
    report: Report,
    *,
    by: User,
    idempotency_key: IdempotencyKey | None = None,
) -> Job:
    job = jobs.enqueue(
        session,
        settings,
        JobKind.REPORT,
        report.id,
        requested_by=by.id,
        idempotency_key=idempotency_key,
    )
    report.job_id = job.id
    session.flush()
    return job


def verify(session: Session, settings: Settings, report_id: str, *, by: User) -> Job:
    """Ask for a report to be computed again from its inputs and compared."""
    report = computed(session, report_id)
    return jobs.enqueue(session, settings, JobKind.VERIFY_REPORT, report.id, requested_by=by.id)


def placed_on_nuclei(
    session: Session, blobs: Blobs, report_id: str, decisions: Sequence[Decision]
) -> list[scores.Decision]:
    """Return decisions on a report's cells as decisions on the slide's nuclei. Raise CellUnknown.

    It reads a file of all cells: on SQLite no writer may wait for that, so it goes before `decide`.
    """
    report = computed(session, report_id)
    with np.load(blobs.path(report.files["measured"]), allow_pickle=False) as columns:
        x, y, label = (columns[name] for name in ("x", "y", "label"))
    if strange := [each.cell for each in decisions if each.cell >= len(label)]:
        raise CellUnknown(f"The report has {len(label)} cells, numbered from 0: no {strange[0]}.")
    return [
        scores.Decision(
            x=float(x[each.cell]),
            y=float(y[each.cell]),
            action=each.action,
            label=each.label,
            cell=each.cell,
            measured=CLASSES[int(label[each.cell])],
        )
        for each in decisions
    ]


def decide(
    session: Session,
    settings: Settings,
    report_id: str,
    placed: Sequence[scores.Decision],
    *,
    reason: str,
    by: User,
) -> tuple[Report, Job]:
    """Log decisions on cells of a draft as the slide's, and have the draft scored with them.

    placed: `placed_on_nuclei`. The slide's live score follows, where there is one.
    """
    report = computed(session, report_id)
    first = report.edit_count + 1
    count = Report.edit_count == report.edit_count
    values = {"edit_count": report.edit_count + len(placed)}
    if not move(session, Report, report_id, ReportState.COMPUTING, count, **values):
        session.refresh(report)
        raise ReportNotDraft(f"The report is {report.state}; only a draft can be changed.")
    session.refresh(report)
    scores.log(session, report.slide_id, placed, reason=reason, by=by, report_id=report_id)
    audit.record(
        session,
        by,
        "report.cells_changed",
        Report.TOPIC,
        report_id,
        edits=[first, first + len(placed) - 1],
        reason=reason,
    )
    touch(session, settings, report.slide_id)
    return report, compute(session, settings, report, by=by)


def keep_files(session: Session, report_id: str, **files: str) -> None:
    """Add blobs that the job has made."""
    report = get(session, report_id)
    report.files = {**report.files, **files}
    session.flush()


def finish(
    session: Session, report_id: str, document: dict[str, Any], sha256: str, **files: str
) -> None:
    """Make a computed report a draft."""
    keep_files(session, report_id, document=sha256, **files)
    move_or_conflict(
        session,
        Report,
        report_id,
        ReportState.DRAFT,
        "The report is not being computed.",
        document_sha256=sha256,
        score=document["score"],
        printed_score=document["printed_score"],
        computed_at=now(),
        problem=None,
    )


@jobs.on_failure(JobKind.REPORT)
def give_up(session: Session, settings: Settings, job: Job, problem: dict[str, Any]) -> None:
    """Tell the report why its job ended."""
    move(session, Report, job.subject, ReportState.FAILED, problem=problem)
