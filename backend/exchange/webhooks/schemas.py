"""Webhooks as the contract shows them: the secret once, at the beginning."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from backend.exchange.webhooks.kinds import WebhookEvent
from backend.exchange.webhooks.tables import DeliveryState
from backend.kit.contract import OF_ROW


class WebhookIn(BaseModel, extra="forbid"):
    """events: none are all."""

    url: Annotated[str, Field(max_length=2000)]
    events: list[WebhookEvent] = []
    description: str = Field("", max_length=200)


class WebhookOut(BaseModel):
    model_config = OF_ROW

    id: str
    url: str
    events: list[WebhookEvent]
    description: str
    made_by: str
    created_at: datetime


class NewWebhook(WebhookOut):
    """The secret is shown this once."""

    secret: str


class DeliveryOut(BaseModel):
    """next_at: of a pending one, when it is tried; attempts: how often it was."""

    model_config = OF_ROW

    id: str
    event: str
    payload: dict[str, Any]
    state: DeliveryState
    attempts: int
    next_at: datetime
    status: int | None
    problem: str | None
    created_at: datetime
    delivered_at: datetime | None
