"""The scrub: is every blob that a row names there, and does it hold the bytes it is named after?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from backend.blob_names import NAME, ROWS_AT_ONCE, blob_names
from backend.kit.storage.blobs import Blobs, file_sha256
from backend.kit.storage.sweeping import named_by_blobs
from backend.tables import Base

OF_INPUTS = ("masks", "regions", "decisions", "calibration_sha256")
"""Of a report's and a score's inputs: the blobs; other hashes there name models and slides."""
BLOBS = {
    ("slides", "sha256"),
    ("annotations", "mask_sha256"),
    ("region_sets", "sha256"),
    ("model_versions", "weights_sha256"),
    ("model_versions", "snapshot_sha256"),
    ("rounds", "snapshot_sha256"),
    ("label_audits", "snapshot_sha256"),
    ("label_issues", "pixels_sha256"),
    ("reports", "document_sha256"),
    ("reports", "pdf_sha256"),
    ("reports", "files"),
    ("reports", "inputs"),
    ("slide_scores", "files"),
    ("slide_scores", "inputs"),
    ("study_readings", "mask_sha256"),
}
"""Columns that name blobs. Every other one that could is known not to (a test holds the list)."""
NO_BLOBS = {
    ("jobs", "request_sha256"),
    ("reports", "signature_sha256"),
    ("label_judgements", "weights_sha256"),
}


@dataclass(frozen=True)
class Reference:
    """A blob that a row names; `what` in plain words."""

    sha256: str
    what: str


@dataclass
class Checked:
    """What a scrub has read."""

    blobs: int = 0
    bytes: int = 0
    orphans: int = 0
    findings: list[str] = field(default_factory=list)


def references(session: Session) -> Iterator[Reference]:
    """Yield every blob that a row names, as often as one does."""
    for table in Base.metadata.sorted_tables:
        columns = [column for column in table.columns if (table.name, column.name) in BLOBS]
        if not columns:
            continue
        for row in session.execute(select(table).execution_options(yield_per=ROWS_AT_ONCE)):
            values = row._mapping  # noqa: SLF001 - how a row is read by name
            for column in columns:
                for sha256 in hashes(column.name, values[column.name]):
                    yield Reference(sha256, told(table, values, column.name))


def hashes(column: str, value: Any) -> Iterator[str]:
    if value is None:
        return
    if column == "inputs":
        value = {name: value.get(name) for name in OF_INPUTS}
    yield from NAME.findall(value if isinstance(value, str) else json.dumps(value))


def told(table: Table, row: Any, column: str) -> str:
    if table.name == "annotations":
        return f"the mask of patch {row['patch_id']}, revision {row['revision']}"
    if table.name == "slides":
        return f"the file of slide {row['id']}"
    key = " ".join(str(row[each.name]) for each in table.primary_key.columns)
    return f"{column} of {table.name} {key}"


def check(session: Session, blobs: Blobs) -> Checked:
    """Read every blob that a row names, and count those that nothing names.

    A blob is written before its row: an orphan is no fault, and a sweep takes it after a day.
    """
    checked = Checked()
    present = set(blobs)
    faults: dict[str, str] = {}
    seen: set[str] = set()
    for each in references(session):
        if each.sha256 not in seen:
            seen.add(each.sha256)
            if fault := fault_of(blobs, each.sha256, checked):
                faults[each.sha256] = fault
        if fault := faults.get(each.sha256):
            sentence = f"{each.what[:1].upper()}{each.what[1:]} {fault}: {each.sha256}"
            checked.findings.append(sentence)
    named = blob_names(session)
    orphans = present - named
    if orphans:
        orphans -= named_by_blobs(blobs, named & present)
    checked.orphans = len(orphans)
    return checked


def fault_of(blobs: Blobs, sha256: str, checked: Checked) -> str | None:
    try:
        size = blobs.path(sha256).stat().st_size
        actual = file_sha256(blobs.path(sha256))
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    checked.blobs += 1
    checked.bytes += size
    return None if actual == sha256 else "is damaged"
