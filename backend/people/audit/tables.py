"""The append-only trail of what people did, each entry bound to the one before it."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, Identified, UtcDateTime


class AuditEntry(Identified, Base):
    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_subject", "subject_type", "subject_id"),
        UniqueConstraint("number"),
    )

    number: Mapped[int] = mapped_column(doc="From 1, in the order of the commits, without a gap.")
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    action: Mapped[str] = mapped_column(String(64))
    subject_type: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str] = mapped_column(String(36))
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    previous_sha256: Mapped[str] = mapped_column(String(64), doc="Of the entry before it.")
    sha256: Mapped[str] = mapped_column(String(64), doc="Of all the above.")


class AuditHead(Base):
    """The one row that says where the trail ends, signed with a key that is not in the database."""

    __tablename__ = "audit_head"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(doc="Of the last entry; 0: there is none.")
    sha256: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    key_name: Mapped[str | None] = mapped_column(String(16), doc="Null: nothing is signed yet.")
    signature: Mapped[str | None] = mapped_column(String(88), doc="Ed25519, base64.")
