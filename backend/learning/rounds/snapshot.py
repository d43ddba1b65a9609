"""What a round learns from and is judged on: exact annotations, hashed, never looked up again."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from backend.kit.canonical import canonical
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations import newest_masks
from backend.settings import Settings
from backend.slides.catalogue.tables import Split
from backend.slides.patches.tables import PatchRole

T = TypeVar("T")


@dataclass(frozen=True)
class SnapshotPatch:
    """One person's mask in a snapshot. Row and column are those of the analysis grid.

    unseen_px: pixels that nobody has looked at; with such it counts for no threshold.
    """

    slide_sha256: str
    row: int
    column: int
    role: PatchRole
    patch_id: str
    annotation_id: str
    mask_sha256: str
    unseen_px: int = 0

    @property
    def complete(self) -> bool:
        return not self.unseen_px


@dataclass(frozen=True)
class Snapshot:
    """Ordered by slide content and place, so that equal annotations make an equal order."""

    patches: tuple[SnapshotPatch, ...]
    held_out: str

    def of_role(self, role: PatchRole) -> Sequence[SnapshotPatch]:
        return [patch for patch in self.patches if patch.role == role]

    def complete_of_role(self, role: PatchRole) -> Sequence[SnapshotPatch]:
        return [patch for patch in self.of_role(role) if patch.complete]

    def document(self) -> bytes:
        """Return canonical JSON: what is hashed and stored."""
        return canonical(
            {"held_out": self.held_out, "patches": [entry_of(patch) for patch in self.patches]}
        )

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.document()).hexdigest()

    @classmethod
    def from_document(cls, document: bytes) -> "Snapshot":
        content = json.loads(document)
        patches = (
            SnapshotPatch(**{**patch, "role": PatchRole(patch["role"])})
            for patch in content["patches"]
        )
        return cls(tuple(patches), content["held_out"])


def entry_of(patch: SnapshotPatch) -> dict[str, Any]:
    """Return a patch as the document has it: a complete one as before there were others."""
    entry = asdict(patch)
    if patch.complete:
        del entry["unseen_px"]
    return entry


def write_of_present(
    database: Database,
    settings: Settings,
    *,
    known: Callable[[Session], T | None],
    require: Callable[[Snapshot], None],
    write: Callable[[Session, Snapshot], T],
) -> T:
    """Write what rests on the masks of now: their snapshot is a blob before a writer waits for it.

    known: returns what makes a second one needless. require: raises what the masks are too few
    for. A mask that was saved while the blob was stored makes it begin anew: what is written rests
    on just the masks that its transaction sees.
    """
    while True:
        with database.reading() as session:
            if (present := known(session)) is not None:
                return present
            snapshot = take(session)
        require(snapshot)
        Blobs(settings.blob_folder).put(snapshot.document())
        with database.writing() as session:
            if (present := known(session)) is not None:
                return present
            if take(session) == snapshot:
                return write(session, snapshot)


def take(session: Session) -> Snapshot:
    """Read the newest annotation of every patch that counts or teaches, with its role."""
    masks = newest_masks.learnable(session)
    # a gold patch of a slide that also trains says less about a new slide: it is said so
    mixed = any(mask.role == PatchRole.GOLD and mask.split == Split.MIXED for mask in masks)
    patches = tuple(
        SnapshotPatch(**{field.name: getattr(mask, field.name) for field in fields(SnapshotPatch)})
        for mask in masks
    )
    return Snapshot(patches, "patch" if mixed else "slide")
