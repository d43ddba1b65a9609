"""Whether what is stored of a report is still what was computed, and what was signed."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from backend.her2.reports import loading, signing
from backend.her2.reports.tables import Report
from backend.kit import signing_key
from backend.kit.storage.blobs import Blobs, file_sha256
from backend.people.audit import service as audit


class Standing(StrEnum):
    """What a signature is worth."""

    VALID = "valid"
    HASH_ONLY = "hash_only"
    NOT_VALID = "not_valid"
    UNSIGNED = "unsigned"


def standing(
    session: Session, blobs: Blobs, report: Report, keys: Mapping[str, bytes]
) -> tuple[Standing, list[str]]:
    """Return what a report's signature is worth, and why, in plain words, it is worth nothing.

    keys: public keys that are trusted here, by name.
    """
    if report.signature_sha256 is None:
        return Standing.UNSIGNED, []
    findings = [
        f"The stored file “{name}” is not what was signed."
        for name, sha256 in stored(report)
        if not is_whole(blobs, sha256)
    ]
    findings += faults_of_signature(session, report, keys)
    if findings:
        return Standing.NOT_VALID, findings
    return (Standing.VALID if report.signature_key else Standing.HASH_ONLY), []


def faults_of_signature(session: Session, report: Report, keys: Mapping[str, bytes]) -> list[str]:
    """Say what is wrong with a signed report's signature, its files apart."""
    faults = []
    if recomputed(session, report) != report.signature_sha256:
        faults.append("The report's row is not what was signed: its hash is another.")
    entries = audit.details_of(session, "report.signed", Report.TOPIC, report.id)
    if not entries:
        faults.append("The audit trail knows of no such signature.")
    elif entries[-1].get("signature_sha256") != report.signature_sha256:
        faults.append("The audit trail knows of another signature of this report.")
    if entries and entries[-1].get("key") != report.signature_key:
        faults.append("The signature by the installation's key was taken away or replaced.")
    if report.signature_key is None:
        return faults
    statement = signing.statement(report.id, str(report.signature_sha256), str(report.pdf_sha256))
    key = keys.get(report.signature_key)
    if key is None:
        faults.append(
            f"It is signed with the key {report.signature_key}, which is not trusted here."
        )
    elif not signing_key.is_signed(key, statement, str(report.signature_ed25519)):
        faults.append("The installation's key has not signed this: it was forged.")
    return faults


def recomputed(session: Session, report: Report) -> str | None:
    signature = loading.signature_of(report)
    if signature is None:
        return None
    return signing.bound(session, report, signature, str(report.signed_by), report.ish)


def altered(session: Session, blobs: Blobs, report: Report, keys: Mapping[str, bytes]) -> list[str]:
    """Name the stored files whose bytes are not those they are named after, and the signature.

    Every byte of a report's blobs is read: of its document, its PDF, its inputs and its exports.
    """
    names = [name for name, sha256 in stored(report) if not is_whole(blobs, sha256)]
    if report.signature_sha256 and faults_of_signature(session, report, keys):
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
