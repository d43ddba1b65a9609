"""A prediction is a slide seen by a model version: a pyramid on disk, shards and scores here."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, Identified, UtcDateTime, now


class Prediction(Identified, Base):
    __tablename__ = "predictions"
    __table_args__ = (UniqueConstraint("slide_id", "model_version_id"),)

    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id", ondelete="CASCADE"))
    model_version_id: Mapped[str] = mapped_column(ForeignKey("model_versions.id"))
    shard_count: Mapped[int]
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sha256: Mapped[str | None] = mapped_column(String(64), doc="Of the shards' hashes, in order.")


class PredictionShard(Base):
    """A finished shard (8×8 patches): the unit of work, of resume and of viewport priority."""

    __tablename__ = "prediction_shards"

    prediction_id: Mapped[str] = mapped_column(
        ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True
    )
    row: Mapped[int] = mapped_column(primary_key=True)
    column: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), doc="Of the three channels' pixels.")
    computed_by: Mapped[str | None] = mapped_column(
        String(80), doc="Library, version and device: a mask's last bits depend on them."
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class PatchPrediction(Base):
    """What a model version thinks of a patch, and where the selector puts it in the queue."""

    __tablename__ = "patch_predictions"
    __table_args__ = (
        Index("ix_patch_predictions_rank", "prediction_id", "rank"),
        Index("ix_patch_predictions_entropy", "prediction_id", "entropy"),
    )

    prediction_id: Mapped[str] = mapped_column(
        ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True
    )
    patch_id: Mapped[str] = mapped_column(
        ForeignKey("patches.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    flagged_fraction: Mapped[float]
    entropy: Mapped[float] = mapped_column(doc="Mean binary entropy of the teacher, nats.")
    membrane_fraction: Mapped[float]
    score: Mapped[float]
    descriptor: Mapped[list[float]]
    rank: Mapped[int | None]
    reason: Mapped[dict[str, Any] | None]
