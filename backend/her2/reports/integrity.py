"""Whether what is stored of a report is still what was computed, and what was signed."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from backend.her2.reports import loading, signing
from backend.her2.reports.tables import Report
from backend.kit.storage.blobs import Blobs, file_sha256


def altered(session: Session, blobs: Blobs, report: Report) -> list[str]:
    """Name the stored files whose bytes are not those they are named after, and the signature.

    Every byte of a report's blobs is read: of its document, its PDF, its inputs and its exports.
    """
    names = [name for name, sha256 in stored(report) if not is_whole(blobs, sha256)]
    signature = loading.signature_of(report)
    if signature is not None:
        bound = signing.bound(session, report, signature, str(report.signed_by), report.ish)
        if bound != report.signature_sha256:
            names.append("signature")
    return names


def stored(report: Report) -> Iterator[tuple[str, str]]:
    """Yield what is stored of a report by name, each with its sha256."""
    for name, sha256 in (("document", report.document_sha256), ("pdf", report.pdf_sha256)):
        if sha256:
            yield name, sha256
    for name, sha256 in sorted(report.files.items()):
        yield name, sha256
    for name in ("masks", "regions", "decisions"):
        if name in report.inputs:
            yield f"inputs.{name}", report.inputs[name]["sha256"]
    calibration: Any = report.inputs["calibration_sha256"]
    if calibration:
        yield "inputs.calibration", calibration


def is_whole(blobs: Blobs, sha256: str) -> bool:
    return blobs.has(sha256) and file_sha256(blobs.path(sha256)) == sha256
