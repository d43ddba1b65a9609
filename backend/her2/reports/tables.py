"""Reports: a slide's HER2 category with all it rests on. What is signed never changes (trigger)."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.kit.db.base import Base, EnumText, Identified, UtcDateTime, one_of
from backend.people.users.tables import User


class ReportState(StrEnum):
    COMPUTING = "computing"
    FAILED = "failed"
    DRAFT = "draft"
    SIGNED = "signed"
    SUPERSEDED = "superseded"


class Meaning(StrEnum):
    """What a signature says (21 CFR 11.50)."""

    AUTHOR = "author"
    REVIEWER = "reviewer"
    APPROVER = "approver"


class Report(Identified, Base):
    __tablename__ = "reports"
    TOPIC: ClassVar[str] = "report"
    ANNOUNCED: ClassVar[tuple[str, ...]] = ("slide_id",)
    TRANSITIONS: ClassVar[Mapping[StrEnum, frozenset[StrEnum]]] = {
        ReportState.COMPUTING: frozenset({ReportState.DRAFT, ReportState.FAILED}),
        # a decision on a cell is a new computation
        ReportState.DRAFT: frozenset({ReportState.COMPUTING, ReportState.SIGNED}),
        ReportState.SIGNED: frozenset({ReportState.SUPERSEDED}),
    }
    __table_args__ = (
        one_of("state", ReportState),
        one_of("signed_meaning", Meaning),
        CheckConstraint(
            "state IN ('computing', 'failed') OR document_sha256 IS NOT NULL",
            name="draft_has_document",
        ),
        CheckConstraint(
            "(state IN ('signed', 'superseded')) = (signature_sha256 IS NOT NULL)",
            name="signed_has_signature",
        ),
        Index("ix_reports_slide_id", "slide_id"),
    )

    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id", ondelete="CASCADE"))
    state: Mapped[ReportState] = mapped_column(EnumText(ReportState), default=ReportState.COMPUTING)
    version: Mapped[int] = mapped_column(default=1)
    amends_id: Mapped[str | None] = mapped_column(ForeignKey("reports.id"))
    amendment_reason: Mapped[str] = mapped_column(Text, default="")
    requested_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    inputs: Mapped[dict[str, Any]] = mapped_column(doc="All it is computed from, by hash.")
    assay: Mapped[dict[str, Any]] = mapped_column(default=dict)
    ish: Mapped[dict[str, Any] | None] = mapped_column(
        doc="In situ hybridisation as a person entered it; nothing is ever concluded from it."
    )
    files: Mapped[dict[str, Any]] = mapped_column(default=dict, doc="Blobs made for it, by name.")
    problem: Mapped[dict[str, Any] | None]
    document_sha256: Mapped[str | None] = mapped_column(String(64))
    score: Mapped[str | None] = mapped_column(String(32))
    printed_score: Mapped[str | None] = mapped_column(String(64))
    computed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    edit_count: Mapped[int] = mapped_column(default=0)
    signed_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    signed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    signed_meaning: Mapped[Meaning | None] = mapped_column(EnumText(Meaning))
    signed_score: Mapped[str | None] = mapped_column(String(32))
    signed_comment: Mapped[str] = mapped_column(Text, default="")
    signed_reason: Mapped[str] = mapped_column(Text, default="")
    signed_facts: Mapped[dict[str, Any] | None] = mapped_column(
        doc="What the signature froze: names of slide and case, the signer's name and role, what "
        "people had seen. Null: unsigned, or signed by a version that froze none of it."
    )
    frozen_edits: Mapped[list[dict[str, Any]] | None] = mapped_column(
        deferred=True,
        doc="The decisions on its cells as its signature bound them; of a draft, where it is not "
        "known any more which nuclei they were about. Null: those of the slide made in it count.",
    )
    signature_sha256: Mapped[str | None] = mapped_column(String(64))
    signature_key: Mapped[str | None] = mapped_column(
        String(16), doc="Name of the installation's key; null: unsigned, or signed before keys."
    )
    signature_ed25519: Mapped[str | None] = mapped_column(String(88), doc="Of the above; base64.")
    pdf_sha256: Mapped[str | None] = mapped_column(String(64), doc="The PDF that was signed.")
    requester: Mapped[User] = relationship(foreign_keys=[requested_by], lazy="joined")
    signer: Mapped[User | None] = relationship(foreign_keys=[signed_by], lazy="joined")
