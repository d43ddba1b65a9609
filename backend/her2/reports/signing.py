"""Signing: a person's own category, their password again, and a row that never changes after.

The signature's hash binds person, time, meaning and category to the document and all files, and to
the signature of the version it amends. The installation's key signs that hash and the PDF's: who
writes the database can work a hash out again, and no signature.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from sqlalchemy.orm import Session

from backend.her2.reports import edits, loading, requests, service
from backend.her2.reports.content import Content, Signature
from backend.her2.reports.service import ReportNotDraft
from backend.her2.reports.tables import Meaning, Report, ReportState
from backend.her2.scores.ish import Ish
from backend.kit.canonical import canonical
from backend.kit.db.base import now
from backend.kit.errors import Unprocessable
from backend.kit.states import move
from backend.kit.storage.blobs import Blobs
from backend.people.audit import service as audit
from backend.people.users.tables import User

Typesetter = Callable[[Content], bytes]
"""Sets a report's PDF."""
_typesetters: list[Typesetter] = []


def typesets(function: Typesetter) -> Typesetter:
    """Name what sets the PDF that is signed: a format, and formats stand above."""
    _typesetters[:] = [function]
    return function


class ReasonMissing(Unprocessable):
    code, title = "reason_missing", "Say why"


class ReportIncomplete(Unprocessable):
    code, title = "report_incomplete", "Something is missing before this can be signed"


class NothingSeen(Unprocessable):
    code, title = "nothing_seen", "Nobody has looked at anything of this report"


MISSING = {
    "case_id": ("slide.case_id", "Say which case the slide is of."),
    "block": ("slide.block", "Say which block the slide was cut from; “none” if there is none."),
    "full_name": ("signer.full_name", "Say your full name, as it is to be printed."),
}
"""What a signed report must name: where it is said, and in which words it is asked for."""


@dataclass(frozen=True)
class Verdict:
    """A pathologist's own category; `reason`: why it is not the computed one, if it is not."""

    score: str
    meaning: Meaning
    comment: str = ""
    reason: str = ""
    ish: Ish | None = None
    without_review: bool = False
    """The signer's word that they sign although nobody has seen anything of it here."""


@dataclass(frozen=True)
class Prepared:
    """A signature that is worked out and not yet given, and the PDF it belongs to."""

    report_id: str
    basis: tuple[str | None, int]
    signature: Signature
    pdf_sha256: str
    edits: list[dict[str, Any]]
    ish: dict[str, Any] | None
    key: str
    ed25519: str


def prepare(
    session: Session, blobs: Blobs, report_id: str, verdict: Verdict, *, by: User
) -> Prepared:
    """Set the signed PDF before the writing begins: on SQLite it would hold up every writer."""
    report = service.computed(session, report_id)
    require_draft(report)
    # 0+ may be printed as 0: who signs what is printed does not differ
    if verdict.score not in {report.score, report.printed_score} and not verdict.reason.strip():
        raise ReasonMissing(
            f"Your category is {verdict.score}, computed was {report.printed_score}: "
            "give the reason."
        )
    at = now().replace(microsecond=0)
    facts = facts_of(session, report, loading.document_of(blobs, report), by)
    require_complete(facts)
    if not facts["seen"]["anything"] and not verdict.without_review:
        raise NothingSeen(
            "Nobody has reviewed a patch or decided on a cell of this report here: all of its "
            "membranes are as the model found them. If you have judged the slide otherwise, "
            "confirm that you sign without a review; the report will say so."
        )
    plain = Signature(
        by.name,
        at,
        str(verdict.meaning),
        verdict.score,
        verdict.comment,
        verdict.reason,
        "",
        facts,
    )
    ish = verdict.ish.entered(by) if verdict.ish else report.ish
    signature = replace(plain, sha256=bound(session, report, plain, by.id, ish))
    content = loading.content_of(session, blobs, report, signature)
    content = replace(content, state="signed", ish=ish, slide={**content.slide, **facts["slide"]})
    history = [
        replace(each, state=after_signing(each.id, report), score=score_of(each, report, verdict))
        for each in content.history
    ]
    [pdf] = _typesetters
    signed_pdf = blobs.put(pdf(replace(content, history=history)))
    basis = report.document_sha256, report.edit_count
    frozen_edits = edits.frozen(edits.of_report(session, report))
    key = audit.key_of(session)
    ed25519 = key.sign(statement(report.id, signature.sha256, signed_pdf))
    return Prepared(report.id, basis, signature, signed_pdf, frozen_edits, ish, key.name, ed25519)


def statement(report_id: str, signature_sha256: str, pdf_sha256: str) -> dict[str, str]:
    """Return what the installation's key signs of a report."""
    return {
        "schema": "membrana.report_signature/1",
        "report": loading.urn_of(report_id),
        "signature_sha256": signature_sha256,
        "pdf_sha256": pdf_sha256,
    }


def facts_of(
    session: Session, report: Report, document: dict[str, Any], by: User
) -> dict[str, Any]:
    """Return what a signature freezes: what the slide is called, who signs, what people saw."""
    return {
        "slide": requests.labels_of(session, report),
        "signer": {"full_name": by.full_name, "role": str(by.role)},
        "seen": review_extent(report, document),
    }


def review_extent(report: Report, document: dict[str, Any] | None) -> dict[str, Any]:
    """Say what people have seen of what a report was computed from.

    Seen is what the service knows that somebody judged at the membrane: a patch with its accepted
    mask, or a cell that was decided on. A tumour region only says where to look, and a field that
    was opened leaves no trace. Patches of the slide of which no cell was evaluated are none of the
    report's. document: as it was computed; None before.
    """
    patches = report.inputs["masks"]["patches"]
    if document and not document.get("reviewed_share", True):
        patches = 0
    cells = report.inputs.get("decisions", {}).get("count", 0) + report.edit_count
    return {"patches": patches, "cell_decisions": cells, "anything": patches + cells > 0}


def require_complete(facts: dict[str, Any]) -> None:
    """Raise ReportIncomplete with all that a signed report would lack."""
    known = facts["slide"] | facts["signer"]
    missing = [name for name in MISSING if not (known.get(name) or "").strip()]
    if missing:
        errors = [dict(zip(("where", "message"), MISSING[name], strict=True)) for name in missing]
        raise ReportIncomplete(
            " ".join(each["message"] for each in errors), missing=missing, errors=errors
        )


def after_signing(report_id: str, report: Report) -> str:
    return "signed" if report_id == report.id else "superseded"


def score_of(version: Any, report: Report, verdict: Verdict) -> str | None:
    score: str | None = verdict.score if version.id == report.id else version.score
    return score


def bound(
    session: Session,
    report: Report,
    signature: Signature,
    signer_id: str,
    ish: dict[str, Any] | None,
) -> str:
    """Hash the signature together with what is signed: all that any export is made from."""
    old = service.get(session, report.amends_id) if report.amends_id else None
    whole = {
        "report": loading.urn_of(report.id),
        "slide": report.slide_id,
        "version": report.version,
        "requested_by": {"id": report.requested_by, "name": report.requester.name},
        "inputs": report.inputs,
        "assay": report.assay,
        "ish": ish,
        "document": report.document_sha256,
        "computed_at": report.computed_at and report.computed_at.isoformat(),
        "files": report.files,
        "edits": [edits.exported(each) for each in edits.of_report(session, report)],
        "amends": old and {"report": loading.urn_of(old.id), "signature": old.signature_sha256},
        "amendment_reason": report.amendment_reason,
        "signer": {"id": signer_id, "name": signature.name},
        "at": signature.at.isoformat(),
        "meaning": signature.meaning,
        "score": signature.score,
        "comment": signature.comment,
        "reason": signature.reason,
    }
    if signature.facts is not None:
        whole["facts"] = dict(signature.facts)
    return sha256(canonical(whole)).hexdigest()


def sign(session: Session, prepared: Prepared, *, by: User) -> Report:
    """Give a prepared signature, if the draft is still the one that was seen."""
    report = service.get(session, prepared.report_id)
    document, edit_count = prepared.basis
    signature = prepared.signature
    won = move(
        session,
        Report,
        report.id,
        ReportState.SIGNED,
        Report.document_sha256 == document,
        Report.edit_count == edit_count,
        signed_by=by.id,
        signed_at=signature.at,
        signed_meaning=Meaning(signature.meaning),
        signed_score=signature.score,
        signed_comment=signature.comment,
        signed_reason=signature.reason,
        signature_sha256=signature.sha256,
        signature_key=prepared.key,
        signature_ed25519=prepared.ed25519,
        pdf_sha256=prepared.pdf_sha256,
        ish=prepared.ish,
        signed_facts=signature.facts,
        frozen_edits=prepared.edits,
    )
    session.refresh(report)
    if not won:
        require_draft(report)
        raise ReportNotDraft("Somebody changed the report meanwhile; look at it again.")
    if report.amends_id and not move(session, Report, report.amends_id, ReportState.SUPERSEDED):
        raise ReportNotDraft("The report that this one amends was amended by another meanwhile.")
    audit.record(
        session,
        by,
        "report.signed",
        Report.TOPIC,
        report.id,
        computed=report.score,
        signed=report.signed_score,
        meaning=signature.meaning,
        without_review=signature.without_review,
        document_sha256=report.document_sha256,
        signature_sha256=report.signature_sha256,
        pdf_sha256=report.pdf_sha256,
        key=report.signature_key,
        amends=report.amends_id,
    )
    return report


def require_draft(report: Report) -> None:
    if report.state != ReportState.DRAFT:
        raise ReportNotDraft(f"The report is {report.state}; only a draft is signed.")
