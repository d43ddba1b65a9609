"""Studies: who reads which patches, what each has drawn, and what was decided between them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, EnumText, Identified, UtcDateTime, one_of


class StudyState(StrEnum):
    """`open`: its patches are read, each reader blind to the others. `closed`: compared."""

    OPEN = "open"
    CLOSED = "closed"


class Study(Identified, Base):
    __tablename__ = "studies"
    TOPIC: ClassVar[str] = "study"
    ANNOUNCED: ClassVar[tuple[str, ...]] = ()
    TRANSITIONS: ClassVar[Mapping[StrEnum, frozenset[StrEnum]]] = {
        StudyState.OPEN: frozenset({StudyState.CLOSED})
    }
    __table_args__ = (one_of("state", StudyState),)

    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[StudyState] = mapped_column(EnumText(StudyState), default=StudyState.OPEN)
    made_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class StudyReader(Base):
    __tablename__ = "study_readers"

    study_id: Mapped[str] = mapped_column(
        ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)


class StudyPatch(Base):
    __tablename__ = "study_patches"
    __table_args__ = (Index("ix_study_patches_patch_id", "patch_id"),)

    study_id: Mapped[str] = mapped_column(
        ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True
    )
    patch_id: Mapped[str] = mapped_column(
        ForeignKey("patches.id", ondelete="CASCADE"), primary_key=True
    )


class Reading(Identified, Base):
    """One reader's mask of one patch: immutable, a change is the next revision."""

    __tablename__ = "study_readings"
    __table_args__ = (
        UniqueConstraint("study_id", "patch_id", "reader_id", "revision"),
        CheckConstraint("revision >= 1", name="revision"),
    )

    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    patch_id: Mapped[str] = mapped_column(ForeignKey("patches.id", ondelete="CASCADE"))
    reader_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    revision: Mapped[int]
    mask_sha256: Mapped[str] = mapped_column(String(64), doc="Key of the PNG blob.")
    seconds_spent: Mapped[float | None]


class Adjudication(Identified, Base):
    """What a third person decided of a patch: the annotation that it became."""

    __tablename__ = "adjudications"
    __table_args__ = (
        # one that stands a patch
        Index(
            "uq_adjudications_standing",
            "patch_id",
            unique=True,
            sqlite_where=text("undone_at IS NULL"),
            postgresql_where=text("undone_at IS NULL"),
        ),
    )

    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    patch_id: Mapped[str] = mapped_column(ForeignKey("patches.id", ondelete="CASCADE"))
    made_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    reader_id: Mapped[str | None] = mapped_column(
        ForeignKey("users.id"), doc="Whose reading was taken; null: another mask."
    )
    comment: Mapped[str] = mapped_column(Text, default="")
    base_revision: Mapped[int] = mapped_column(doc="Of the patch, before it.")
    annotation_id: Mapped[str] = mapped_column(ForeignKey("annotations.id", ondelete="CASCADE"))
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    undone_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
