"""What a report is made from: a document with its provenance, figures, and what people said."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Document = Mapping[str, Any]
Picture = Callable[[str], bytes]
"""Returns a stored picture by its sha256."""
NOT_STATED = "not stated"
FIRST_SCHEMA = "membrana.her2/1"


@dataclass(frozen=True)
class Signature:
    """A person's own category, with what they signed it as; `reason` why it differs, if it does.

    `facts`: what was frozen with it (backend.her2.reports.signing); None in what older versions
    signed.
    """

    name: str
    at: datetime
    meaning: str
    score: str
    comment: str
    reason: str
    sha256: str
    facts: Mapping[str, Any] | None = None

    @property
    def full_name(self) -> str:
        """The signer as people know them; the account's name where that is all there is."""
        return str(self.facts["signer"]["full_name"]) if self.facts else self.name

    @property
    def role(self) -> str:
        return str(self.facts["signer"]["role"]) if self.facts else ""

    @property
    def without_review(self) -> bool:
        """Whether nobody had seen anything of the report here, by the signer's own word."""
        return bool(self.facts and not self.facts["seen"]["anything"])


@dataclass(frozen=True)
class Edit:
    """A person's decision on one cell: its class before and after; `after` None: left out.

    `cell` and `before` are None where the nucleus is no longer among those that were measured.
    """

    cell: int | None
    before: str | None
    after: str | None
    by: str
    at: datetime | None
    reason: str


@dataclass(frozen=True)
class Version:
    """A report of the same chain of amendments."""

    id: str
    number: int
    state: str
    score: str | None
    at: datetime


@dataclass(frozen=True)
class Content:
    """All that a report is made from. `document`: schema membrana.her2/1 with its provenance.

    `urn` stands in every export, so that a file can be traced back and checked.
    """

    urn: str
    version: int
    state: str
    made_at: datetime
    made_by: str
    slide: Mapping[str, Any]
    assay: Mapping[str, Any]
    document: Document
    document_sha256: str
    figures: Mapping[str, Any]
    picture: Picture
    ish: Mapping[str, Any] | None = None
    signature: Signature | None = None
    edits: Sequence[Edit] = ()
    amends: str | None = None
    amendment_reason: str = ""
    history: Sequence[Version] = field(default=())

    @property
    def dated(self) -> datetime:
        return self.signature.at if self.signature else self.made_at

    @property
    def first_schema(self) -> bool:
        """Whether the document is of a version before, whose report is worded as it was then."""
        return bool(self.document["schema"] == FIRST_SCHEMA)

    @property
    def block(self) -> str:
        return self.slide.get("block") or self.assay.get("block") or NOT_STATED

    @property
    def case(self) -> str:
        return self.slide["case_id"] or NOT_STATED
