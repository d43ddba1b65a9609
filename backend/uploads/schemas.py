"""What the service says of an upload."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from backend.uploads.tables import UploadState


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
