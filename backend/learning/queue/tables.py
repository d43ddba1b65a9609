"""What the queue can go by besides a model's word: how much a patch matters to its slide."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, now


class PatchInfluence(Base):
    """How much a correction of a patch could change the slide's category, as last computed.

    Named by its place on the grid, not by the patch: who writes these rows must not hold patches
    that people wait for. Patches that could change nothing have none.
    """

    __tablename__ = "patch_influences"
    __table_args__ = (
        CheckConstraint("rank >= 1", name="rank_from_one"),
        Index("ix_patch_influences_rank", "slide_id", "rank"),
    )

    slide_id: Mapped[str] = mapped_column(
        ForeignKey("slides.id", ondelete="CASCADE"), primary_key=True
    )
    row: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    column: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rank: Mapped[int] = mapped_column(doc="Among the slide's, from 1.")
    influence: Mapped[float] = mapped_column(doc="Flips expected there over flips needed.")
    reason: Mapped[dict[str, Any]]


class PatchSkip(Base):
    """A person has put a patch back: they are offered it again when nothing else is left."""

    __tablename__ = "patch_skips"

    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    patch_id: Mapped[str] = mapped_column(
        ForeignKey("patches.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    created_at: Mapped[datetime] = mapped_column(default=now)
