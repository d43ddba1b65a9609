"""From a report's row and blobs to what its exports are made of."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.her2.reports import edits, requests, service
from backend.her2.reports.content import NOT_STATED, Content, Edit, Signature, Version
from backend.her2.reports.tables import Report
from backend.her2.scores.tables import CellAction
from backend.kit.storage.blobs import Blobs


def urn_of(report_id: str) -> str:
    return f"urn:membrana:report:{report_id}"


def document_of(blobs: Blobs, report: Report) -> dict[str, Any]:
    """Return the document of a computed report."""
    content: dict[str, Any] = json.loads(blobs.read(str(report.document_sha256)))
    return content


def content_of(
    session: Session, blobs: Blobs, report: Report, signature: Signature | None = None
) -> Content:
    """Return all that a computed report says; `signature`: one that is about to be given."""
    figures = report.files.get("figures")
    return Content(
        urn=urn_of(report.id),
        version=report.version,
        state=str(report.state),
        made_at=report.computed_at or report.created_at,
        made_by=report.requester.name,
        slide={"id": report.slide_id, **requests.labels_of(session, report)},
        assay=report.assay,
        ish=report.ish,
        document=document_of(blobs, report),
        document_sha256=str(report.document_sha256),
        figures=json.loads(blobs.read(figures)) if figures else {},
        picture=blobs.read,
        signature=signature or signature_of(report),
        edits=[
            *(of_slide(each) for each in decided(blobs, report) if is_printed(each)),
            *(of_report(each) for each in edits.standing(edits.of_report(session, report))),
        ],
        amends=urn_of(report.amends_id) if report.amends_id else None,
        amendment_reason=report.amendment_reason,
        history=[version_of(each) for each in versions(session, report)],
    )


def signature_of(report: Report) -> Signature | None:
    if report.signer is None or report.signed_at is None:
        return None
    return Signature(
        name=report.signer.name,
        at=report.signed_at,
        meaning=str(report.signed_meaning),
        score=str(report.signed_score),
        comment=report.signed_comment,
        reason=report.signed_reason,
        sha256=str(report.signature_sha256),
        facts=report.signed_facts,
    )


def of_report(edit: edits.Edit) -> Edit:
    return Edit(
        cell=edit.cell,
        before=edit.measured,
        after=edit.label,
        by=edit.author.name,
        at=edit.created_at,
        reason=edit.reason,
    )


def decided(blobs: Blobs, report: Report) -> list[dict[str, Any]]:
    """Return the slide's decisions that the report froze, each with its cell and its fate."""
    sha256 = report.files.get("decisions")
    rows: list[dict[str, Any]] = json.loads(blobs.read(sha256))["decisions"] if sha256 else []
    return rows


def is_printed(row: dict[str, Any]) -> bool:
    """Say whether a reader is shown a decision; the JSON export has them all."""
    return row["fate"] in {"applied", "no_cell"} and row["action"] != CellAction.INCLUDE


def of_slide(row: dict[str, Any]) -> Edit:
    return Edit(
        cell=row["cell"],
        before=row["measured"],
        after=row["class"],
        by=row["by"] or NOT_STATED,
        at=datetime.fromisoformat(row["at"]) if row["at"] else None,
        reason=row["reason"] or NOT_STATED,
    )


def versions(session: Session, report: Report) -> Sequence[Report]:
    """Return the report and those it amends, oldest first."""
    chain = [report]
    while chain[-1].amends_id:
        chain.append(service.get(session, chain[-1].amends_id))
    return chain[::-1]


def version_of(report: Report) -> Version:
    return Version(
        id=report.id,
        number=report.version,
        state=str(report.state),
        score=report.signed_score or report.printed_score,
        at=report.signed_at or report.computed_at or report.created_at,
    )


def successor_of(session: Session, report: Report) -> str | None:
    """Return the id of the newest report that amends this one."""
    return session.scalar(
        select(Report.id).where(Report.amends_id == report.id).order_by(Report.id.desc()).limit(1)
    )
