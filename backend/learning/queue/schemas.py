"""What the queue hands out: a patch, why it comes now, and for how long it is leased."""

from datetime import datetime

from pydantic import BaseModel

from backend.learning.patch_views.schemas import PatchOut, Reason


class LeaseTerm(BaseModel):
    expires_at: datetime


class ComingPatch(BaseModel):
    """A patch that comes soon, in nobody's hands yet; thumbnail: where its picture is."""

    patch: PatchOut
    reason: Reason
    thumbnail: str


class Coming(BaseModel):
    items: list[ComingPatch]


class QueueItem(BaseModel):
    patch: PatchOut
    reason: Reason
    lease: LeaseTerm
