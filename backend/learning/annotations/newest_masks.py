"""The newest masks of patches: a slide's, those that rounds learn from, and how many there are."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from backend.kit.db.session import Database
from backend.learning.annotations.tables import Annotation, Source
from backend.slides.catalogue.tables import Slide, Split
from backend.slides.patches import in_grid_order
from backend.slides.patches.grid import PATCH_PX
from backend.slides.patches.tables import Patch, PatchRole, PatchState

NEWEST = Annotation.revision == Patch.revision
"""Of annotations joined with their patches."""
ACCEPTED = (
    NEWEST,
    # a mask that was painted only in part is in neither state, and one that a second person
    # returned waits for its correction
    Patch.state.in_((PatchState.ANNOTATED, PatchState.APPROVED)),
    Patch.problem.is_(None),
)
PAINTED = (
    NEWEST,
    # whoever has it in hand now
    Patch.unseen_px.between(1, PATCH_PX**2 - 1),
    Patch.role == PatchRole.TRAINING,
    Patch.problem.is_(None),
)
"""Of masks that are not complete, those that something can be learned from."""


@dataclass(frozen=True)
class NewestMask:
    """The newest annotation of a patch. x0, y0, size0: the patch's box in level-0 px."""

    patch_id: str
    row: int
    column: int
    x0: float
    y0: float
    size0: float
    state: PatchState
    revision: int
    author_id: str
    source: Source
    mask_sha256: str
    model_version_id: str | None
    created_at: datetime
    unseen_px: int

    @property
    def complete(self) -> bool:
        return not self.unseen_px


def of_slide(database: Database, slide_id: str) -> Iterator[NewestMask]:
    """Yield what people have drawn on a slide; no transaction stays open."""
    statement = (
        select(
            *in_grid_order.PLACE,
            Patch.state,
            Annotation.revision,
            Annotation.author_id,
            Annotation.source,
            Annotation.mask_sha256,
            Annotation.model_version_id,
            Annotation.created_at,
            Annotation.unseen_px,
        )
        .join(Annotation, Annotation.patch_id == Patch.id)
        .where(Patch.slide_id == slide_id, NEWEST)
    )
    return (NewestMask(**row) for row in in_grid_order.rows(database, statement))


def by_place(session: Session, slide_id: str) -> dict[tuple[int, int], str]:
    """Return the keys of a slide's newest masks, by (row, column), in the grid's order."""
    masks = session.execute(
        select(Patch.row, Patch.column, Annotation.mask_sha256)
        .join(Annotation, Annotation.patch_id == Patch.id)
        .where(Patch.slide_id == slide_id, Patch.revision > 0, NEWEST)
        .order_by(Patch.row, Patch.column)
    )
    return {(row, column): sha256 for row, column, sha256 in masks}


@dataclass(frozen=True)
class LearnableMask:
    """A mask, its patch by place, and what they were held out for when first drawn."""

    slide_sha256: str
    row: int
    column: int
    role: PatchRole
    patch_id: str
    annotation_id: str
    mask_sha256: str
    unseen_px: int
    split: Split | None


def learnable(session: Session) -> list[LearnableMask]:
    """Return every accepted mask, ordered by slide content and place, in one statement.

    And of training patches what people have painted of them so far: no round is due for those, none
    judges by them, but it learns from the pixels that somebody looked at.
    """
    rows = session.execute(
        select(
            Slide.sha256.label("slide_sha256"),
            Patch.row,
            Patch.column,
            Patch.role,
            Patch.id.label("patch_id"),
            Annotation.id.label("annotation_id"),
            Annotation.mask_sha256,
            Annotation.unseen_px,
            Slide.split,
        )
        .join(Patch, Annotation.patch_id == Patch.id)
        .join(Slide, Patch.slide_id == Slide.id)
        .where(or_(and_(*ACCEPTED), and_(*PAINTED)), Patch.role.is_not(None))
        .order_by(Slide.sha256, Patch.row, Patch.column)
    )
    return [LearnableMask(**row) for row in rows.mappings()]


def accepted_of_slide(session: Session, slide_id: str) -> list[tuple[int, int, str]]:
    """Return the accepted masks of a slide: row, column and sha256, in the grid's order."""
    rows = session.execute(
        select(Patch.row, Patch.column, Annotation.mask_sha256)
        .join(Patch, Annotation.patch_id == Patch.id)
        .where(Patch.slide_id == slide_id, *ACCEPTED)
        .order_by(Patch.row, Patch.column)
    )
    return [(row, column, sha256) for row, column, sha256 in rows]


def count_accepted(
    session: Session, *, role: PatchRole | None = None, besides: Select[str] | None = None
) -> int:
    """Count the accepted masks, of a role or of any; besides: ids of annotations left out."""
    statement = (
        select(func.count())
        .select_from(Annotation)
        .join(Patch, Annotation.patch_id == Patch.id)
        .where(*ACCEPTED)
    )
    if role is not None:
        statement = statement.where(Patch.role == role)
    if besides is not None:
        statement = statement.where(Annotation.id.not_in(besides))
    return session.scalar(statement) or 0


def state_of(session: Session, slide_id: str) -> str:
    """Return a hash of which revision each patch is at: it changes with every annotation."""
    rows = session.execute(
        select(Patch.id, Patch.revision)
        .where(Patch.slide_id == slide_id, Patch.revision > 0)
        .order_by(Patch.id)
    )
    digest = sha256(slide_id.encode())
    for patch_id, revision in rows:
        digest.update(f" {patch_id}:{revision}".encode())
    return digest.hexdigest()
