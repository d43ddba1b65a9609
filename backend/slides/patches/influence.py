"""Which patches could change a slide's category: kept beside its live score, read by the queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, insert, select
from sqlalchemy.orm import Session

from backend.her2.scores.service import NoScore
from backend.her2.scores.tables import LiveScore
from backend.slides.patches.tables import Patch, PatchInfluence

OF_PATCH = and_(
    PatchInfluence.slide_id == Patch.slide_id,
    PatchInfluence.row == Patch.row,
    PatchInfluence.column == Patch.column,
)
"""Which row of influence is a patch's."""


@dataclass(frozen=True)
class Weighed:
    """A patch by its place on the grid; reason: why it is shown, a sentence and its figures."""

    row: int
    column: int
    influence: float
    reason: dict[str, Any]


def replace(session: Session, slide_id: str, patches: Sequence[Weighed]) -> None:
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


def require_scores(session: Session, slide_id: str | None) -> None:
    """Refuse an order by influence where no live score says what matters."""
    scored = select(LiveScore.id).where(LiveScore.computed_at.is_not(None)).limit(1)
    if slide_id is None:
        if session.scalar(scored) is None:
            raise NoScore("No slide has a live score: ask for one on the slide to work on.")
    elif session.scalar(scored.where(LiveScore.slide_id == slide_id)) is None:
        raise NoScore("This slide has no live score: ask for it, and wait until it is computed.")


def reason_of(session: Session, patch: Patch) -> dict[str, Any] | None:
    """Return why a patch matters to its slide's category; None if it does not."""
    found = session.get(PatchInfluence, (patch.slide_id, patch.row, patch.column))
    return found.reason if found else None
