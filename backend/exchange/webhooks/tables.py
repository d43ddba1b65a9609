"""Where events are sent to, and the durable outbox of what is to be sent."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, EnumText, Identified, UtcDateTime, now, one_of


class DeliveryState(StrEnum):
    """`failed`: tried as often as is tried, or refused for good."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Webhook(Identified, Base):
    __tablename__ = "webhooks"

    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(String(200), default="")
    events: Mapped[list[str]] = mapped_column(doc="What it is told of; empty: of everything.")
    sealed_secret: Mapped[str] = mapped_column(
        Text, doc="What deliveries are signed with, locked with a key that is not in the database."
    )
    made_by: Mapped[str] = mapped_column(ForeignKey("users.id"))


class WebhookDelivery(Identified, Base):
    """One event for one webhook: written with what happened, gone through by a worker."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        one_of("state", DeliveryState),
        CheckConstraint("attempts >= 0", name="attempts"),
        Index("ix_webhook_deliveries_webhook_id", "webhook_id"),
        Index("ix_webhook_deliveries_due", "state", "next_at"),
    )

    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(64))
    payload: Mapped[dict[str, Any]]
    state: Mapped[DeliveryState] = mapped_column(
        EnumText(DeliveryState), default=DeliveryState.PENDING
    )
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime] = mapped_column(
        UtcDateTime, default=now, doc="Not before this time, while it is pending."
    )
    status: Mapped[int | None] = mapped_column(doc="Of the last answer, if there was one.")
    problem: Mapped[str | None] = mapped_column(Text, doc="Why the last try failed.")
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
