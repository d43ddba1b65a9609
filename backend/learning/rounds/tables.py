"""Rounds: an exact snapshot of annotations, the training on it, and the verdict on its model."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, Text, text, true
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, EnumText, Identified, UtcDateTime, one_of
from backend.slides.patches.tables import PatchRole


class RoundState(StrEnum):
    OPEN = "open"
    TRAINING = "training"
    EVALUATING = "evaluating"
    PROMOTED = "promoted"
    KEPT_BACK = "kept_back"
    NOT_JUDGED = "not_judged"
    ABANDONED = "abandoned"


LIVE = (RoundState.OPEN, RoundState.TRAINING, RoundState.EVALUATING)


class Round(Identified, Base):
    __tablename__ = "rounds"
    TOPIC: ClassVar[str] = "round"
    ANNOUNCED: ClassVar[tuple[str, ...]] = ()
    TRANSITIONS: ClassVar[Mapping[StrEnum, frozenset[StrEnum]]] = {
        RoundState.OPEN: frozenset({RoundState.TRAINING, RoundState.ABANDONED}),
        RoundState.TRAINING: frozenset({RoundState.EVALUATING, RoundState.ABANDONED}),
        RoundState.EVALUATING: frozenset(
            {
                RoundState.PROMOTED,
                RoundState.KEPT_BACK,
                RoundState.NOT_JUDGED,
                RoundState.ABANDONED,
            }
        ),
    }
    __table_args__ = (
        one_of("state", RoundState),
        # a constant expression: at most one row can be live
        Index(
            "uq_rounds_live",
            text("(1)"),
            unique=True,
            sqlite_where=text("state IN ('open', 'training', 'evaluating')"),
            postgresql_where=text("state IN ('open', 'training', 'evaluating')"),
        ),
    )

    state: Mapped[RoundState] = mapped_column(EnumText(RoundState), default=RoundState.OPEN)
    reason: Mapped[str] = mapped_column(Text, default="", doc="Why it ended as it did.")
    requested_by: Mapped[str | None] = mapped_column(
        ForeignKey("users.id"), doc="Empty: enough new annotations started it."
    )
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    parent_model_version_id: Mapped[str] = mapped_column(ForeignKey("model_versions.id"))
    model_version_id: Mapped[str | None] = mapped_column(ForeignKey("model_versions.id"))
    snapshot_sha256: Mapped[str | None] = mapped_column(String(64))
    held_out: Mapped[str | None] = mapped_column(String(16), doc="slide, or patch of a mixed slide")
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RoundPatch(Base):
    """One annotation in a snapshot. The double key holds a patch to its role for ever."""

    __tablename__ = "round_patches"
    __table_args__ = (
        one_of("role", PatchRole),
        ForeignKeyConstraint(["patch_id", "role"], ["patches.id", "patches.role"]),
    )

    round_id: Mapped[str] = mapped_column(
        ForeignKey("rounds.id", ondelete="CASCADE"), primary_key=True
    )
    patch_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    annotation_id: Mapped[str] = mapped_column(ForeignKey("annotations.id"))
    role: Mapped[PatchRole] = mapped_column(EnumText(PatchRole))
    complete: Mapped[bool] = mapped_column(
        default=True, server_default=true(), doc="Else it was learned from where it was painted."
    )


class RoundCurve(Base):
    """A bucket of training steps: what the losses were."""

    __tablename__ = "round_curves"

    round_id: Mapped[str] = mapped_column(
        ForeignKey("rounds.id", ondelete="CASCADE"), primary_key=True
    )
    step: Mapped[int] = mapped_column(primary_key=True)
    values: Mapped[dict[str, Any]]
