"""The whole report as JSON: the source that all other formats can be made from."""

from typing import Any

from backend.exchange.reports.format import File, Format, Source
from backend.her2.reports import edits, loading
from backend.her2.reports.content import Signature
from backend.her2.reports.tables import Report
from backend.kit.canonical import canonical
from backend.kit.product import RESEARCH_USE_ONLY

SCHEMA = "membrana.report/1"


def write(source: Source) -> bytes:
    report, content = source.report, source.content
    whole = {
        "schema": SCHEMA,
        "research_use_only": RESEARCH_USE_ONLY,
        "urn": content.urn,
        "version": report.version,
        "amends": content.amends,
        "amendment_reason": report.amendment_reason,
        "made_at": content.made_at.isoformat(),
        "made_by": content.made_by,
        "slide": dict(content.slide),
        "assay": report.assay,
        "ish": report.ish,
        "document": content.document,
        "document_sha256": report.document_sha256,
        "files": report.files,
        "decisions": loading.decided(source.blobs, report),
        "edits": [edits.exported(each) for each in edits.of_report(source.session, report)],
        "signature": content.signature and signed(content.signature, report),
    }
    return canonical(whole, ensure_ascii=False)


def signed(signature: Signature, report: Report) -> dict[str, Any]:
    by_key = {"key": report.signature_key, "ed25519": report.signature_ed25519}
    return {
        "name": signature.name,
        "at": signature.at.isoformat(),
        "meaning": signature.meaning,
        "score": signature.score,
        "comment": signature.comment,
        "reason": signature.reason,
        "sha256": signature.sha256,
        "pdf_sha256": report.pdf_sha256,
        **(by_key if report.signature_key else {}),
        **of_facts(signature),
    }


def of_facts(signed: Signature) -> dict[str, Any]:
    """Return what the JSON export says of a signer, where the signature has frozen it."""
    if signed.facts is None:
        return {}
    return {
        "full_name": signed.full_name,
        "role": signed.role,
        "seen": signed.facts["seen"],
        "without_review": signed.without_review,
    }


def urn_in(file: File) -> Any:
    return file.document and file.document.get("urn")


FORMAT = Format(write, urn_in)
