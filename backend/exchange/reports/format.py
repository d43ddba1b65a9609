"""What a format of reports is: how a report is written in it, and how its files are told."""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from backend.her2.reports import loading
from backend.her2.reports.content import Content
from backend.her2.reports.tables import Report
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings

URN = re.compile(rb"urn:membrana:report:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True)
class Source:
    """A computed report, and what its files are made from."""

    session: Session
    blobs: Blobs
    settings: Settings
    report: Report

    @cached_property
    def content(self) -> Content:
        return loading.content_of(self.session, self.blobs, self.report)


@dataclass(frozen=True)
class Gzipped:
    """A file that is kept gzipped, and sent as it is to whoever takes it so."""

    path: Path

    @classmethod
    def of(cls, source: Source, name: str) -> "Gzipped":
        """Return what the report's job has stored under a name."""
        return cls(source.blobs.path(source.report.files[name]))

    def content(self) -> bytes:
        return gzip.decompress(self.path.read_bytes())


@dataclass(frozen=True)
class File:
    """A file somebody has, of which it is to be told what it is."""

    content: bytes

    @cached_property
    def document(self) -> Any:
        """Return its JSON object; None if it holds none."""
        if not self.content.startswith(b"{"):
            return None
        try:
            parsed = json.loads(self.content)
        except ValueError:
            return None
        return parsed if isinstance(parsed, dict) else None

    @cached_property
    def urn(self) -> str | None:
        """Return the first report that is named: others, which it amends, stand later or packed."""
        match = URN.search(self.content)
        return match[0].decode() if match else None


@dataclass(frozen=True)
class Format:
    """A format of reports.

    write: makes the file's bytes, or says where they are kept. urn_in: returns the urn of the
    report that a file is of, None if it is not of this format.
    """

    write: Callable[[Source], bytes | Gzipped]
    urn_in: Callable[[File], Any]


def headed(head: bytes) -> Callable[[File], str | None]:
    """Tell files of a format by how they begin."""

    def urn_in(file: File) -> str | None:
        return file.urn if file.content.startswith(head) else None

    return urn_in
