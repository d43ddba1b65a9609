"""Patches: 256×256 windows of the analysis grid, what a model reads and a person corrects."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    UniqueConstraint,
    func,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, EnumText, Identified, UtcDateTime, one_of


class PatchState(StrEnum):
    """`partial`: people have painted some of its pixels and not said that it is complete."""

    UNREVIEWED = "unreviewed"
    PROPOSED = "proposed"
    IN_ANNOTATION = "in_annotation"
    PARTIAL = "partial"
    ANNOTATED = "annotated"
    RETURNED = "returned"
    APPROVED = "approved"
    SKIPPED = "skipped"


PAINTED = (PatchState.IN_ANNOTATION, PatchState.PARTIAL, PatchState.ANNOTATED)


class PatchRole(StrEnum):
    """What a person's mask of this patch is for; fixed at its first annotation, for ever."""

    TRAINING = "training"
    GOLD = "gold"


def some(name: str, column: str, *more: str) -> Index:
    """Return an index of the rows that have a value in its first column."""
    there = text(f"{column} IS NOT NULL")
    return Index(name, column, *more, sqlite_where=there, postgresql_where=there)


class Patch(Identified, Base):
    __tablename__ = "patches"
    TOPIC: ClassVar[str] = "patch"
    ANNOUNCED: ClassVar[tuple[str, ...]] = ("slide_id",)
    TRANSITIONS: ClassVar[Mapping[StrEnum, frozenset[StrEnum]]] = {
        PatchState.UNREVIEWED: frozenset(
            {
                PatchState.PROPOSED,
                PatchState.IN_ANNOTATION,
                PatchState.PARTIAL,
                PatchState.ANNOTATED,
            }
        ),
        PatchState.PROPOSED: frozenset(
            {
                PatchState.IN_ANNOTATION,
                PatchState.PARTIAL,
                PatchState.ANNOTATED,
                PatchState.SKIPPED,
            }
        ),
        PatchState.IN_ANNOTATION: frozenset(
            {
                # painted by whoever has it in hand: it stays there
                PatchState.IN_ANNOTATION,
                PatchState.PARTIAL,
                PatchState.ANNOTATED,
                PatchState.PROPOSED,
                PatchState.RETURNED,
                PatchState.SKIPPED,
            }
        ),
        PatchState.PARTIAL: frozenset(
            {
                PatchState.IN_ANNOTATION,
                PatchState.PARTIAL,
                PatchState.ANNOTATED,
                PatchState.SKIPPED,
            }
        ),
        PatchState.ANNOTATED: frozenset(
            {
                PatchState.PARTIAL,
                PatchState.ANNOTATED,
                PatchState.APPROVED,
                PatchState.RETURNED,
            }
        ),
        PatchState.RETURNED: frozenset(PAINTED),
        PatchState.SKIPPED: frozenset(PAINTED),
    }
    __table_args__ = (
        one_of("state", PatchState),
        one_of("role", PatchRole),
        UniqueConstraint("slide_id", "row", "column"),
        CheckConstraint("unseen_px >= 0", name="unseen_px"),
        # what a round's snapshot points at, so that gold can never be filed as training
        UniqueConstraint("id", "role"),
        CheckConstraint(
            "(lease_user_id IS NULL) = (lease_until IS NULL)", name="lease_has_owner_and_end"
        ),
        Index("ix_patches_slide_state", "slide_id", "state"),
        # few patches of many are in somebody's hands or annotated: each asks for these alone
        some("ix_patches_lease_until", "lease_until"),
        some("ix_patches_lease_user_id", "lease_user_id"),
        some("ix_patches_role", "role", "slide_id"),
        # the order of the draw: an id's last eight figures are random, whenever it was made
        Index("ix_patches_lot", "slide_id", text("substr(id, 29)")),
    )

    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id", ondelete="CASCADE"))
    column: Mapped[int]
    row: Mapped[int]
    x0: Mapped[float] = mapped_column(doc="Left edge in level-0 px; not whole if resampled.")
    y0: Mapped[float]
    size0: Mapped[float]
    tissue_fraction: Mapped[float | None] = mapped_column(
        doc="Empty: a person painted where the tissue finder had made no patch."
    )
    state: Mapped[PatchState] = mapped_column(EnumText(PatchState), default=PatchState.UNREVIEWED)
    problem: Mapped[dict[str, Any] | None] = mapped_column(doc="Why its pixels can't be read.")
    role: Mapped[PatchRole | None] = mapped_column(EnumText(PatchRole))
    revision: Mapped[int] = mapped_column(default=0, doc="Newest annotation revision; 0: none.")
    unseen_px: Mapped[int] = mapped_column(
        default=0,
        server_default="0",
        doc="Pixels of the newest mask that nobody has looked at; 0: it is complete.",
    )
    lease_user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


LOT: ColumnElement[str] = func.substr(Patch.id, literal_column("29"))
"""What decides among patches that are drawn at random: the same of each, and like no other's."""


class AnalysisGrid(Base):
    """The pixel size of the grid that every patch of this installation lies on: one row, for good.

    Written with the first patches. Masks, proposals and models are of this grid and no other.
    """

    __tablename__ = "analysis_grid"
    __table_args__ = (
        CheckConstraint("id = 1", name="only_one"),
        CheckConstraint("mpp > 0", name="mpp"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    mpp: Mapped[float] = mapped_column(doc="Micrometres per analysis pixel.")
