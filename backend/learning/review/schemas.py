"""Reviews as the contract shows them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from backend.learning.patch_views.schemas import PatchOut
from backend.learning.review.tables import Verdict


class ReviewIn(BaseModel, extra="forbid"):
    verdict: Verdict
    comment: str = Field("", max_length=4000)


class ReviewOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    annotation_id: str
    reviewer_id: str
    verdict: Verdict
    comment: str
    created_at: datetime


class Reviewed(BaseModel):
    patch: PatchOut
    review: ReviewOut
