"""What the queue hands out: a patch, why it comes now, and for how long it is leased."""

from datetime import datetime

from pydantic import BaseModel

from backend.learning.patch_views.schemas import PatchOut, Reason


class LeaseTerm(BaseModel):
    expires_at: datetime


class QueueItem(BaseModel):
    patch: PatchOut
    reason: Reason
    lease: LeaseTerm
