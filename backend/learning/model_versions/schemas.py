"""Model versions as the contract shows them: lineage, hash of the weights, metrics."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from backend.learning.model_versions.tables import ModelKind, ModelVersionState


class ModelVersionOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    kind: ModelKind
    state: ModelVersionState
    created_at: datetime
    parent_id: str | None
    weights_sha256: str | None
    snapshot_sha256: str | None
    config: dict[str, Any]
    metrics: dict[str, Any]
    threshold: float = Field(
        description="The network's probability from which on it proposes membrane; the cold start "
        "and versions of before have 0.5. `metrics.threshold` says how it was chosen."
    )
    note: str
