"""The places that a score's rule to stop waits for, as patches."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from backend.slides.patches.tables import Patch

Place = tuple[int, int]
"""Row and column of the grid."""


def patches_of(
    session: Session, slide_id: str, document: Mapping[str, Any] | None
) -> dict[Place, str]:
    """Return the ids of the patches that a score document's rule names, by their places."""
    places = document["stop"]["places"] if document and "stop" in document else []
    if not places:
        return {}
    rows = session.execute(
        select(Patch.row, Patch.column, Patch.id).where(
            Patch.slide_id == slide_id,
            tuple_(Patch.row, Patch.column).in_([tuple(place) for place in places]),
        )
    )
    return {(row, column): patch_id for row, column, patch_id in rows}
