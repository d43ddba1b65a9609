"""Patches: found by their id, who has them in hand, and what models and people change of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Select, func, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.kit.db.base import now
from backend.kit.errors import NotFound
from backend.kit.geometry import Region0
from backend.kit.states import move
from backend.people.users import service as users
from backend.slides.patches.tables import Patch, PatchRole, PatchState

REVIEWED = (PatchState.ANNOTATED, PatchState.RETURNED, PatchState.APPROVED)
IDS_AT_ONCE = 500
"""In one statement."""
RELEASED: Mapping[str, None] = {"lease_user_id": None, "lease_until": None}


class PatchNotFound(NotFound):
    code = "patch_not_found"


@dataclass(frozen=True)
class Holder:
    """Who has a patch in hand: columns, for a request's own user is of another session."""

    id: str
    name: str


def get(session: Session, patch_id: str) -> Patch:
    patch = session.get(Patch, patch_id)
    if patch is None:
        raise PatchNotFound("There is no patch with this id.")
    return patch


def places(session: Session, slide_id: str) -> Sequence[tuple[int, int]]:
    """Return row and column of each patch of a slide."""
    rows = session.execute(select(Patch.row, Patch.column).where(Patch.slide_id == slide_id))
    return [(row, column) for row, column in rows]


def ids_of(slide_id: str) -> Select[str]:
    """Select the patches of a slide, to be asked for in a statement of others."""
    return select(Patch.id).where(Patch.slide_id == slide_id)


def by_id(session: Session, patch_ids: Iterable[str]) -> list[Patch]:
    """Return patches by their ids; one that is not there is left out."""
    return [
        patch
        for some in batched(patch_ids, IDS_AT_ONCE)
        for patch in session.scalars(select(Patch).where(Patch.id.in_(some)))
    ]


def batched(items: Iterable[str], size: int) -> Iterator[list[str]]:
    several = iter(items)
    while some := list(islice(several, size)):
        yield some


def annotated(session: Session, slide_id: str) -> dict[str, int]:
    """Return the revision of each patch of a slide that people have drawn on."""
    rows = session.execute(
        select(Patch.id, Patch.revision).where(Patch.slide_id == slide_id, Patch.revision > 0)
    )
    return {patch_id: revision for patch_id, revision in rows}  # noqa: C416 - rows are no pairs


def ids_at(
    session: Session, slide_id: str, places: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], str]:
    """Return the ids of a slide's patches at places (row, column) that have one, by place."""
    rows = session.execute(
        select(Patch.row, Patch.column, Patch.id).where(
            Patch.slide_id == slide_id, tuple_(Patch.row, Patch.column).in_(places)
        )
    )
    return {(row, column): patch_id for row, column, patch_id in rows}


def holders(session: Session, patches: Sequence[Patch]) -> dict[str, Holder]:
    """Return who has each patch in hand now, if anybody has."""
    held = {patch.id: patch.lease_user_id for patch in patches if is_held(patch)}
    names = users.names(session, {user_id for user_id in held.values() if user_id})
    return {
        patch_id: Holder(user_id, names[user_id])
        for patch_id, user_id in held.items()
        if user_id in names
    }


def is_held(patch: Patch) -> bool:
    until = patch.lease_until
    return patch.state == PatchState.IN_ANNOTATION and until is not None and until > now()


def is_annotated(session: Session, slide_id: str) -> bool:
    """Say whether people have drawn on any patch of a slide."""
    annotated_id = session.scalar(
        select(Patch.id).where(Patch.slide_id == slide_id, Patch.revision > 0).limit(1)
    )
    return annotated_id is not None


def annotated_count(session: Session) -> int:
    """Return how many patches people have drawn on; they are the ones with a role."""
    counted = select(func.count()).select_from(Patch).where(Patch.role.is_not(None))
    return session.scalar(counted) or 0


def some(session: Session, slide_id: str | None, limit: int) -> Sequence[Patch]:
    """Return a slide's first patches, or those of all slides that people have drawn on."""
    statement = select(Patch).limit(limit)
    if slide_id is not None:
        return session.scalars(
            statement.where(Patch.slide_id == slide_id).order_by(Patch.row, Patch.column)
        ).all()
    return session.scalars(statement.where(Patch.role.is_not(None)).order_by(Patch.id.desc())).all()


def counts(session: Session, slide_ids: Sequence[str]) -> dict[str, dict[PatchState, int]]:
    """Return how many patches of each slide are in each state."""
    states: dict[str, dict[PatchState, int]] = {slide_id: {} for slide_id in slide_ids}
    rows = session.execute(
        select(Patch.slide_id, Patch.state, func.count())
        .where(Patch.slide_id.in_(slide_ids))
        .group_by(Patch.slide_id, Patch.state)
    )
    for slide_id, state, number in rows:
        states[slide_id][state] = number
    return states


def propose(session: Session, patch_ids: Sequence[str]) -> None:
    """Mark patches that a model has seen; what a person has touched stays as it is."""
    session.execute(
        update(Patch)
        .where(Patch.id.in_(patch_ids), Patch.state == PatchState.UNREVIEWED)
        .values(state=PatchState.PROPOSED)
    )


def note_unreadable(session: Session, problems: Mapping[str, dict[str, Any]]) -> None:
    """Keep why patches' pixels can't be read, by patch."""
    for patch_id, problem in problems.items():
        session.execute(update(Patch).where(Patch.id == patch_id).values(problem=problem))


def advance(
    session: Session, patch: Patch, *, unseen_px: int = 0, painter_id: str | None = None
) -> bool:
    """Count a patch's revision up and take it out of everybody's hands.

    unseen_px: pixels of the new mask that nobody has looked at; a patch with such is not annotated
    yet. painter_id: who goes on with it: while it is not complete it stays in their hands, if it is
    there. False, and the row as it is now, if it is at another revision or in a state that takes
    none.
    """
    base = patch.revision
    state = PatchState.PARTIAL if unseen_px else PatchState.ANNOTATED
    values: dict[str, Any] = {**RELEASED, "revision": base + 1, "unseen_px": unseen_px}
    where = [Patch.revision == base]
    if unseen_px and painter_id and is_held(patch) and patch.lease_user_id == painter_id:
        state = PatchState.IN_ANNOTATION
        values = {"revision": base + 1, "unseen_px": unseen_px}
        where.append(Patch.lease_user_id == painter_id)
    won = move(session, Patch, patch.id, state, *where, **values)
    session.refresh(patch)
    return won


def by_place(
    session: Session, slide_id: str, places: Collection[tuple[int, int]]
) -> dict[tuple[int, int], Patch]:
    """Return the patches that a slide has at some places of its grid, (row, column)."""
    rows = session.scalars(
        select(Patch).where(
            Patch.slide_id == slide_id, tuple_(Patch.row, Patch.column).in_(list(places))
        )
    )
    return {(patch.row, patch.column): patch for patch in rows}


def hold(session: Session, patch_ids: Collection[str]) -> dict[str, Patch]:
    """Return patches as they are now, held against other writers until the transaction ends.

    Always in one order: two who hold some of the same never wait for each other.
    """
    rows = session.scalars(
        select(Patch)
        .where(Patch.id.in_(patch_ids))
        .order_by(Patch.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {patch.id: patch for patch in rows}


def box_of(patch: Patch) -> Region0:
    return Region0(patch.x0, patch.y0, patch.size0, patch.size0)


def unmade(slide_id: str, row: int, column: int, box: Region0) -> Patch:
    """Return a patch that the tissue finder did not make: not in the database yet."""
    return Patch(
        slide_id=slide_id,
        row=row,
        column=column,
        x0=box.x,
        y0=box.y,
        size0=box.width,
        tissue_fraction=None,
        state=PatchState.UNREVIEWED,
        revision=0,
        unseen_px=0,
    )


def make(session: Session, patch: Patch) -> bool:
    """Add a patch where there is none; False if somebody was faster."""
    try:
        with session.begin_nested():
            session.add(patch)
    except IntegrityError:
        return False
    return True


def judge(session: Session, patch: Patch, verdict: PatchState, *, revision: int) -> bool:
    """Approve or return a patch's mask, if it is still the one that was judged."""
    won = move(session, Patch, patch.id, verdict, Patch.revision == revision)
    session.refresh(patch)
    return won


def fix_role(session: Session, patch: Patch, role: PatchRole) -> None:
    """Say for ever what a person's masks of a patch are for."""
    patch.role = role
    session.flush()
