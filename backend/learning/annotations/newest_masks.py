"""The newest masks of a slide, patch by patch in the grid's order, however many there are."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.kit.db.session import Database
from backend.learning.annotations.tables import Annotation, Source
from backend.slides.patches import in_grid_order
from backend.slides.patches.tables import Patch, PatchState


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
        )
        .join(Annotation, Annotation.patch_id == Patch.id)
        .where(Patch.slide_id == slide_id, Annotation.revision == Patch.revision)
    )
    return (NewestMask(**row) for row in in_grid_order.rows(database, statement))


def in_box(
    session: Session, slide_id: str, rows: range, columns: range
) -> dict[tuple[int, int], str]:
    """Return the keys of the newest masks of some patches, by (row, column)."""
    masks = session.execute(
        select(Patch.row, Patch.column, Annotation.mask_sha256)
        .join(Annotation, Annotation.patch_id == Patch.id)
        .where(
            Patch.slide_id == slide_id,
            Patch.revision > 0,
            Annotation.revision == Patch.revision,
            Patch.row.between(rows.start, rows.stop - 1),
            Patch.column.between(columns.start, columns.stop - 1),
        )
        .order_by(Patch.row, Patch.column)
    )
    return {(row, column): sha256 for row, column, sha256 in masks}


def in_states(
    session: Session, slide_id: str, states: Collection[PatchState]
) -> list[tuple[int, int, str]]:
    """Return row, column and key of the masks of readable patches in some states, as the grid."""
    masks = session.execute(
        select(Patch.row, Patch.column, Annotation.mask_sha256)
        .join(Patch, Annotation.patch_id == Patch.id)
        .where(
            Patch.slide_id == slide_id,
            Annotation.revision == Patch.revision,
            Patch.state.in_(states),
            Patch.problem.is_(None),
        )
        .order_by(Patch.row, Patch.column)
    )
    return [(row, column, sha256) for row, column, sha256 in masks]


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
