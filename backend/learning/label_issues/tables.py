"""What an audit doubts in people's masks: audits, what they judged, and what they found."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, EnumText, Identified, UtcDateTime, one_of


class IssueKind(StrEnum):
    """`missing`: background that looks like membrane. `surplus`: membrane that does not."""

    MISSING = "missing"
    SURPLUS = "surplus"


class LabelAudit(Identified, Base):
    """One run over all accepted masks. Its job says how far it is; only a whole one is finished."""

    __tablename__ = "label_audits"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    requested_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    snapshot_sha256: Mapped[str] = mapped_column(String(64), doc="The masks that were judged.")
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    held_out: Mapped[str | None] = mapped_column(
        String(16), doc="What networks never saw of what they judged: its slide, or the patch only."
    )
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LabelJudgement(Base):
    """One revision of one mask, as a network saw it that never learned from it."""

    __tablename__ = "label_judgements"
    __table_args__ = (
        CheckConstraint("doubtful_px >= 0 AND doubtful_px <= judged_px", name="doubtful_is_judged"),
    )

    audit_id: Mapped[str] = mapped_column(
        ForeignKey("label_audits.id", ondelete="CASCADE"), primary_key=True
    )
    annotation_id: Mapped[str] = mapped_column(
        ForeignKey("annotations.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    weights_sha256: Mapped[str] = mapped_column(String(64), doc="Of the network that judged it.")
    judged_px: Mapped[int] = mapped_column(doc="Pixels that are not `ignore`.")
    doubtful_px: Mapped[int]


class LabelIssue(Identified, Base):
    """A connected piece of doubtful pixels. Rows and columns are px of its patch."""

    __tablename__ = "label_issues"
    __table_args__ = (
        one_of("kind", IssueKind),
        ForeignKeyConstraint(
            ["audit_id", "annotation_id"],
            ["label_judgements.audit_id", "label_judgements.annotation_id"],
            ondelete="CASCADE",
        ),
        UniqueConstraint("audit_id", "rank"),
        Index("ix_label_issues_judgement", "audit_id", "annotation_id"),
        CheckConstraint("score >= 0 AND score <= 1", name="score"),
    )

    audit_id: Mapped[str] = mapped_column(String(36))
    annotation_id: Mapped[str] = mapped_column(String(36))
    rank: Mapped[int] = mapped_column(doc="From 1, the worst of the audit.")
    kind: Mapped[IssueKind] = mapped_column(EnumText(IssueKind))
    row: Mapped[int]
    column: Mapped[int]
    height: Mapped[int]
    width: Mapped[int]
    size_px: Mapped[int]
    score: Mapped[float] = mapped_column(doc="Mean of 1 - probability of the given label.")
    pixels_sha256: Mapped[str] = mapped_column(
        String(64), doc="Key of the PNG blob, 255 = doubted."
    )
