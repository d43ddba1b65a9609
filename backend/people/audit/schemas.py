"""An entry of the audit trail as it is read."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    number: int
    created_at: datetime
    user_id: str | None
    action: str
    subject_type: str
    subject_id: str
    details: dict[str, Any]
    sha256: str
