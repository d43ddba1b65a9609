"""A resumable upload (tus 1.0.0): the offset lives in SQL, the bytes in one temporary file."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, EnumText, Identified, UtcDateTime, one_of


class UploadState(StrEnum):
    RECEIVING = "receiving"
    COMPLETE = "complete"
    CONSUMED = "consumed"
    EXPIRED = "expired"


class Upload(Identified, Base):
    __tablename__ = "uploads"
    TOPIC: ClassVar[str] = "upload"
    ANNOUNCED: ClassVar[tuple[str, ...]] = ()
    TRANSITIONS: ClassVar[Mapping[StrEnum, frozenset[StrEnum]]] = {
        UploadState.RECEIVING: frozenset({UploadState.COMPLETE, UploadState.EXPIRED}),
        UploadState.COMPLETE: frozenset({UploadState.CONSUMED, UploadState.EXPIRED}),
    }
    __table_args__ = (
        one_of("state", UploadState),
        CheckConstraint("received >= 0 AND received <= length", name="received"),
    )

    state: Mapped[UploadState] = mapped_column(EnumText(UploadState), default=UploadState.RECEIVING)
    length: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger, default=0)
    filename: Mapped[str] = mapped_column(String(255))
    stain: Mapped[str] = mapped_column(String(64), default="HER2")
    case_id: Mapped[str | None] = mapped_column(String(100))
    mpp: Mapped[float | None]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    slide_id: Mapped[str | None] = mapped_column(ForeignKey("slides.id", ondelete="SET NULL"))
    duplicate: Mapped[dict[str, Any] | None] = mapped_column(
        doc="What became of its words if its bytes were a slide already (duplicates.py)."
    )
