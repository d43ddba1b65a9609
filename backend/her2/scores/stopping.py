"""The places that a score's rule to stop waits for, as patches."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from backend.slides.patches import service as patches

Place = tuple[int, int]
"""Row and column of the grid."""


def patches_of(
    session: Session, slide_id: str, document: Mapping[str, Any] | None
) -> dict[Place, str]:
    """Return the ids of the patches that a score document's rule names, by their places."""
    places = document["stop"]["places"] if document and "stop" in document else []
    if not places:
        return {}
    return patches.ids_at(session, slide_id, [(row, column) for row, column in places])
