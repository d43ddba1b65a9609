"""What a person has put back: theirs again when nothing else is left, anybody's meanwhile."""

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from backend.kit.errors import Conflict
from backend.learning.queue.tables import PatchSkip
from backend.people.users.tables import User
from backend.slides.patches import leases
from backend.slides.patches import service as patches
from backend.slides.patches.leases import FREE
from backend.slides.patches.tables import Patch


class NotWaiting(Conflict):
    code, title = "patch_not_skippable", "This patch does not wait for you"


def put_back(session: Session, patch_id: str, *, user: User) -> Patch:
    """Give a patch back to the queue and remember it; once more changes nothing."""
    leases.free_expired(session)
    patch = leases.leave(session, patch_id, user)
    if patch.state not in FREE:
        holder = patches.holders(session, [patch]).get(patch.id)
        raise NotWaiting(
            f"{holder.name} has this patch in hand."
            if holder
            else f"The patch is {patch.state}: it waits for nobody, so it can't be put back."
        )
    if session.get(PatchSkip, (user.id, patch_id)) is None:
        session.add(PatchSkip(user_id=user.id, patch_id=patch_id))
        session.flush()
    return patch


def forget(session: Session, patch_id: str, user: User) -> None:
    """A person has taken a patch up again."""
    session.execute(
        delete(PatchSkip).where(PatchSkip.user_id == user.id, PatchSkip.patch_id == patch_id)
    )


def by(user: User, patch_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Say of a patch whether a person has put it back."""
    return (
        select(PatchSkip.patch_id)
        .where(PatchSkip.user_id == user.id, PatchSkip.patch_id == patch_id)
        .exists()
    )
