"""The live score of a slide and people's decisions on its cells. A report freezes both."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship, synonym

from backend.kit.db.base import Base, EnumText, Identified, UtcDateTime, one_of
from backend.people.users.tables import User


class ScoreState(StrEnum):
    COMPUTING = "computing"
    CURRENT = "current"
    FAILED = "failed"


class CellAction(StrEnum):
    """What a person decides of a cell; `include` takes back whatever was decided before."""

    EXCLUDE = "exclude"
    INCLUDE = "include"
    CLASS = "class"


class LiveScore(Identified, Base):
    """One a slide, from the first time somebody asks for it.

    `wanted` counts the changes that it must follow, `computed` those that it has.
    """

    __tablename__ = "slide_scores"
    TOPIC: ClassVar[str] = "score"
    NAMED_BY: ClassVar[str] = "slide_id"
    ANNOUNCED: ClassVar[tuple[str, ...]] = ("slide_id", "score", "printed_score", "revision")
    TRANSITIONS: ClassVar[Mapping[StrEnum, frozenset[StrEnum]]] = {
        # a further change, and a result that does not know of it yet, leave it computing
        ScoreState.COMPUTING: frozenset(ScoreState),
        ScoreState.CURRENT: frozenset({ScoreState.COMPUTING}),
        ScoreState.FAILED: frozenset({ScoreState.COMPUTING}),
    }
    __table_args__ = (
        one_of("state", ScoreState),
        CheckConstraint("computed <= wanted", name="follows"),
    )

    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id", ondelete="CASCADE"), unique=True)
    state: Mapped[ScoreState] = mapped_column(EnumText(ScoreState), default=ScoreState.COMPUTING)
    protocol: Mapped[str] = mapped_column(String(64))
    gap: Mapped[str | None] = mapped_column(String(8))
    thresholds: Mapped[dict[str, Any] | None] = mapped_column(doc="A what-if; null: the protocol's")
    wanted: Mapped[int] = mapped_column(default=0)
    computed: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = synonym("computed")
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    inputs: Mapped[dict[str, Any] | None] = mapped_column(doc="What it was computed from, by hash.")
    files: Mapped[dict[str, Any]] = mapped_column(default=dict, doc="Blobs of it, by name.")
    score: Mapped[str | None] = mapped_column(String(32))
    printed_score: Mapped[str | None] = mapped_column(String(64))
    previous_score: Mapped[str | None] = mapped_column(String(64))
    computed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    problem: Mapped[dict[str, Any] | None]


class CellDecision(Identified, Base):
    """What a person decided of the nucleus nearest to a place; a later one there replaces it.

    report_id, cell, measured: the draft that it was made in, if in one, which of its cells the
    nucleus was there, and the class that had been measured.
    """

    __tablename__ = "cell_decisions"
    __table_args__ = (
        one_of("action", CellAction),
        UniqueConstraint("slide_id", "number"),
        CheckConstraint("(action = 'class') = (label IS NOT NULL)", name="class_is_named"),
        CheckConstraint(
            "(report_id IS NULL) = (cell IS NULL) AND (cell IS NULL) = (measured IS NULL)",
            name="cell_of_a_report",
        ),
        CheckConstraint("cell >= 0", name="cell"),
        Index("ix_cell_decisions_report_id", "report_id"),
    )

    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id", ondelete="CASCADE"))
    report_id: Mapped[str | None] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"))
    cell: Mapped[int | None]
    measured: Mapped[str | None] = mapped_column(String(2))
    number: Mapped[int] = mapped_column(doc="Its place in the order of decisions, from 1.")
    x: Mapped[float] = mapped_column(doc="Of the nucleus, level-0 px.")
    y: Mapped[float]
    action: Mapped[CellAction] = mapped_column(EnumText(CellAction))
    label: Mapped[str | None] = mapped_column(String(2))
    author_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str] = mapped_column(Text)
    author: Mapped[User] = relationship(lazy="joined")


class ScoreStep(Base):
    """A computed score, in the order of computing: never changed, and gone only with its slide.

    changes: what had changed since the step before; rules: what turns counts into a category;
    outcome: counts, category and the rule to stop (backend.her2.scores.log).
    """

    __tablename__ = "score_steps"
    __table_args__ = (CheckConstraint("number >= 1", name="number_from_one"),)

    slide_id: Mapped[str] = mapped_column(
        ForeignKey("slides.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column(doc="Of the live score: changes that it has followed.")
    changes: Mapped[dict[str, Any]]
    rules: Mapped[dict[str, Any]]
    outcome: Mapped[dict[str, Any]]
