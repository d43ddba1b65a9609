"""Patches and the queue as the contract shows them. Places are level-0 px."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from backend.kit.contract import Failure, Shown
from backend.learning.patch_views.service import PatchView, reason_of
from backend.people.users.tables import User
from backend.slides.patches.tables import PatchRole, PatchState


class Lease(BaseModel):
    user_id: str
    username: str
    expires_at: datetime
    mine: bool


class Selection(BaseModel):
    """The selector's figures; the rank is among the patches of the slide."""

    flagged_fraction: float
    entropy: float
    score: float
    rank: int | None


class Reason(BaseModel, extra="allow"):
    """Why this patch is shown, in a sentence; the figures behind it stand beside."""

    text: str


class AreaOut(BaseModel):
    """A box in analysis px from the patch's corner, and how much doubt its area holds, in bits."""

    model_config = ConfigDict(from_attributes=True)

    x: int
    y: int
    width: int
    height: int
    pixels: int
    doubt: float


class UncertainAreas(BaseModel):
    """Areas worth a look, the most doubtful first; none where the model is sure."""

    model_version_id: str
    items: list[AreaOut]


class PatchOut(BaseModel):
    id: str
    slide_id: str
    row: int
    column: int
    x: float
    y: float
    size: float
    tissue_fraction: float | None
    state: PatchState
    role: PatchRole | None
    revision: int
    unseen_px: int
    problem: Annotated[dict[str, Any], Shown(Failure)] | None
    lease: Lease | None
    model_version_id: str | None
    model_version: str | None
    uncertainty: float | None
    selection: Selection | None
    reason: Annotated[dict[str, Any], Shown(Reason)] | None

    @classmethod
    def of(cls, view: PatchView, user: User) -> "PatchOut":
        patch, scored = view.patch, view.scored
        lease = None
        if view.holder is not None and patch.lease_until:
            lease = Lease(
                user_id=view.holder.id,
                username=view.holder.name,
                expires_at=patch.lease_until,
                mine=view.holder.id == user.id,
            )
        return cls(
            id=patch.id,
            slide_id=patch.slide_id,
            row=patch.row,
            column=patch.column,
            x=patch.x0,
            y=patch.y0,
            size=patch.size0,
            tissue_fraction=patch.tissue_fraction,
            state=patch.state,
            role=patch.role,
            revision=patch.revision,
            unseen_px=patch.unseen_px,
            problem=patch.problem,
            lease=lease,
            model_version_id=view.prediction.model_version_id if view.prediction else None,
            model_version=view.model_name,
            uncertainty=scored.score if scored else None,
            selection=Selection.model_validate(scored, from_attributes=True) if scored else None,
            reason=reason_of(scored) if scored else None,
        )
