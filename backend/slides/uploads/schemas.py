"""What the service says of an upload."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from backend.slides.catalogue.schemas import SlideOut
from backend.slides.uploads.tables import UploadState


class Said(BaseModel):
    """One thing said of a file that was here already, and what its slide says now."""

    field: Literal["name", "stain", "case_id", "mpp"]
    sent: str | float
    slide: str | float | None


class Duplicate(BaseModel):
    """What became of an upload whose bytes are a slide already: no second one was made."""

    detail: str
    kept: list[Said]
    taken: list[Said]


class UploadOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    state: UploadState
    filename: str
    length: int
    received: int
    stain: str
    case_id: str | None
    mpp: float | None
    created_at: datetime
    expires_at: datetime
    slide_id: str | None
    duplicate: Duplicate | None


class UploadedSlide(SlideOut):
    """A slide, and what was made of the words of an upload if its bytes were here already."""

    duplicate: Duplicate | None = None
