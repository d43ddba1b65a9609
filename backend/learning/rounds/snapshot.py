"""What a round learns from and is judged on: exact annotations, hashed, never looked up again."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.learning.annotations.tables import Annotation
from backend.slides.catalogue.tables import Slide, Split
from backend.slides.patches.tables import Patch, PatchRole, PatchState

ACCEPTED = (PatchState.ANNOTATED, PatchState.APPROVED)
"""A mask that a second person returned waits for its correction."""


@dataclass(frozen=True)
class SnapshotPatch:
    """One person's mask in a snapshot. Row and column are those of the analysis grid."""

    slide_sha256: str
    row: int
    column: int
    role: PatchRole
    patch_id: str
    annotation_id: str
    mask_sha256: str


@dataclass(frozen=True)
class Snapshot:
    """Ordered by slide content and place, so that equal annotations make an equal order."""

    patches: tuple[SnapshotPatch, ...]
    held_out: str

    def of_role(self, role: PatchRole) -> Sequence[SnapshotPatch]:
        return [patch for patch in self.patches if patch.role == role]

    def document(self) -> bytes:
        """Return canonical JSON: what is hashed and stored."""
        content = {"held_out": self.held_out, "patches": [asdict(patch) for patch in self.patches]}
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

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


def take(session: Session) -> Snapshot:
    """Read the newest annotation of every accepted patch, with its role, in one statement."""
    rows = session.execute(
        select(
            Slide.sha256,
            Patch.row,
            Patch.column,
            Patch.role,
            Patch.id,
            Annotation.id,
            Annotation.mask_sha256,
            Slide.split,
        )
        .join(Patch, Annotation.patch_id == Patch.id)
        .join(Slide, Patch.slide_id == Slide.id)
        .where(
            Annotation.revision == Patch.revision,
            Patch.role.is_not(None),
            Patch.state.in_(ACCEPTED),
            Patch.problem.is_(None),
        )
        .order_by(Slide.sha256, Patch.row, Patch.column)
    ).all()
    # a gold patch of a slide that also trains says less about a new slide: it is said so
    mixed = any(row.role == PatchRole.GOLD and row.split == Split.MIXED for row in rows)
    patches = tuple(
        SnapshotPatch(sha256, grid_row, grid_column, role, patch_id, annotation_id, mask)
        for sha256, grid_row, grid_column, role, patch_id, annotation_id, mask, _ in rows
        if role is not None
    )
    return Snapshot(patches, "patch" if mixed else "slide")
