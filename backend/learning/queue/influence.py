"""Which patches could change a slide's category: kept beside its live score, read by the queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, insert
from sqlalchemy.orm import Session

from backend.learning.queue.tables import PatchInfluence
from backend.slides.patches.tables import Patch

OF_PATCH = and_(
    PatchInfluence.slide_id == Patch.slide_id,
    PatchInfluence.row == Patch.row,
    PatchInfluence.column == Patch.column,
)
"""Which row of influence is a patch's."""


@dataclass(frozen=True)
class InfluentialPatch:
    """A patch by its place on the grid; reason: why it is shown, a sentence and its figures."""

    row: int
    column: int
    influence: float
    reason: dict[str, Any]


def replace(session: Session, slide_id: str, patches: Sequence[InfluentialPatch]) -> None:
    """Put these, the most influential first, in the place of all that a slide has."""
    session.execute(delete(PatchInfluence).where(PatchInfluence.slide_id == slide_id))
    rows = [
        {
            "slide_id": slide_id,
            "row": each.row,
            "column": each.column,
            "rank": rank,
            "influence": each.influence,
            "reason": each.reason,
        }
        for rank, each in enumerate(patches, start=1)
    ]
    if rows:
        session.execute(insert(PatchInfluence), rows)


def reason_of(session: Session, patch: Patch) -> dict[str, Any] | None:
    """Return why a patch matters to its slide's category; None if it does not."""
    row = session.get(PatchInfluence, (patch.slide_id, patch.row, patch.column))
    return row.reason if row else None
