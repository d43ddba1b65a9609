"""An earlier revision brought back: its mask again, as a new revision that says so."""

from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations import masks, service
from backend.learning.annotations.service import Draft


def draft_of(
    database: Database,
    blobs: Blobs,
    patch_id: str,
    revision: int,
    base_revision: int,
    seconds_spent: float | None,
) -> Draft:
    """Return what a save of an earlier revision's mask sends; raise RevisionNotFound.

    The mask is read here, before anybody's transaction waits for it.
    """
    with database.reading() as session:
        earlier = service.any_revision(session, patch_id, revision)
    mask = masks.decode_stored(blobs.read(earlier.mask_sha256))
    return Draft(mask, base_revision, earlier.source, seconds_spent, restores=earlier)
