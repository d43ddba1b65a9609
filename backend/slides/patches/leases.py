"""A patch is in one person's hands at a time: leased, given back, put aside."""

from datetime import datetime

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from backend.kit.db.base import now
from backend.kit.errors import Conflict
from backend.kit.states import move
from backend.people.users.tables import User
from backend.slides.patches import service
from backend.slides.patches.service import RELEASED
from backend.slides.patches.tables import Patch, PatchState

FREE = (PatchState.UNREVIEWED, PatchState.PROPOSED, PatchState.PARTIAL, PatchState.RETURNED)


class NotSkippable(Conflict):
    code = "patch_not_skippable"


def take(session: Session, patch_id: str, user: User, until: datetime) -> Patch | None:
    """Lease a free patch; None if somebody else was faster."""
    lease = {"lease_user_id": user.id, "lease_until": until}
    if not move(session, Patch, patch_id, PatchState.IN_ANNOTATION, Patch.state.in_(FREE), **lease):
        return None
    return session.get_one(Patch, patch_id, populate_existing=True)


def free_expired(session: Session) -> None:
    """Give back what people leased and forgot; what somebody else gives back now is theirs."""
    over = (Patch.state == PatchState.IN_ANNOTATION, Patch.lease_until < now())
    # two who wait for each other's rows would both fail
    expired = select(Patch).where(*over).with_for_update(skip_locked=True)
    for patch in session.scalars(expired).all():
        move(session, Patch, patch.id, waiting(patch), *over, **RELEASED)


def extend(session: Session, patch: Patch, user: User, until: datetime) -> bool:
    """Lengthen a lease; False if the person has saved or left the patch in this moment."""
    still = session.scalar(
        update(Patch)
        .where(
            Patch.id == patch.id,
            Patch.state == PatchState.IN_ANNOTATION,
            Patch.lease_user_id == user.id,
        )
        .values(lease_until=until)
        .returning(Patch.id)
        .execution_options(synchronize_session=False)
    )
    session.refresh(patch)
    return still is not None


def waiting(patch: Patch) -> PatchState:
    """Return the state of a patch that is given back undone.

    One that is painted in part stays so. One that has a complete mask was leased to correct what a
    second person returned: it stays returned.
    """
    if patch.unseen_px:
        return PatchState.PARTIAL
    return PatchState.RETURNED if patch.revision else PatchState.PROPOSED


def leave(session: Session, patch_id: str, user: User) -> Patch:
    """Give a patch back, if it is this person's."""
    patch = service.get(session, patch_id)
    mine = and_(Patch.state == PatchState.IN_ANNOTATION, Patch.lease_user_id == user.id)
    if move(session, Patch, patch_id, waiting(patch), mine, **RELEASED):
        session.refresh(patch)
    return patch


def skip(session: Session, patch_id: str, *, user: User) -> Patch:
    """Put a patch aside for good: nobody is offered it again, though it can still be annotated."""
    patch = service.get(session, patch_id)
    theirs = and_(Patch.lease_user_id.is_not(None), Patch.lease_user_id != user.id)
    if not move(session, Patch, patch_id, PatchState.SKIPPED, ~theirs, **RELEASED):
        raise NotSkippable("Only a patch that waits, or is in your own hands, can be skipped.")
    session.refresh(patch)
    return patch


def held_by(session: Session, user: User, slide_id: str | None) -> Patch | None:
    """Return the patch that a person has open: the one taken last."""
    statement = select(Patch).where(
        Patch.state == PatchState.IN_ANNOTATION, Patch.lease_user_id == user.id
    )
    if slide_id is not None:
        statement = statement.where(Patch.slide_id == slide_id)
    return session.scalars(statement.order_by(Patch.lease_until.desc()).limit(1)).first()
