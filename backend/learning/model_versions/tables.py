"""Model versions: immutable weights with their origin; serving is a pointer (the active one)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, EnumText, Identified, one_of


class ModelVersionState(StrEnum):
    TRAINING = "training"
    CANDIDATE = "candidate"
    ACTIVE = "active"
    RETIRED = "retired"
    FAILED = "failed"


class ModelKind(StrEnum):
    COLD_START = "cold-start"
    EUGMT = "eugmt"


class ModelVersion(Identified, Base):
    __tablename__ = "model_versions"
    TOPIC: ClassVar[str] = "model_version"
    ANNOUNCED: ClassVar[tuple[str, ...]] = ()
    TRANSITIONS: ClassVar[Mapping[StrEnum, frozenset[StrEnum]]] = {
        ModelVersionState.TRAINING: frozenset(
            {ModelVersionState.CANDIDATE, ModelVersionState.FAILED}
        ),
        ModelVersionState.CANDIDATE: frozenset({ModelVersionState.ACTIVE}),
        ModelVersionState.ACTIVE: frozenset({ModelVersionState.RETIRED}),
        ModelVersionState.RETIRED: frozenset({ModelVersionState.ACTIVE}),
    }
    __table_args__ = (
        one_of("state", ModelVersionState),
        one_of("kind", ModelKind),
        CheckConstraint(
            "state IN ('training', 'failed') OR weights_sha256 IS NOT NULL",
            name="candidate_has_weights",
        ),
        Index(
            "uq_model_versions_active",
            "state",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    name: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[ModelKind] = mapped_column(EnumText(ModelKind))
    state: Mapped[ModelVersionState] = mapped_column(
        EnumText(ModelVersionState), default=ModelVersionState.TRAINING
    )
    weights_sha256: Mapped[str | None] = mapped_column(String(64), doc="Also the blob's key.")
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("model_versions.id"))
    snapshot_sha256: Mapped[str | None] = mapped_column(String(64))
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    threshold: Mapped[float] = mapped_column(
        default=0.5,
        server_default="0.5",
        doc="The network's probability from which on it proposes membrane. Its weights carry it "
        "and shift what they predict by it, so that all that is stored is cut at one half.",
    )
    note: Mapped[str] = mapped_column(Text, default="")
