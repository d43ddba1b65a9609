"""The queue: who gets which patch next. A patch is in one person's hands at a time."""

from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session

from backend.auth.tables import User
from backend.db.base import now
from backend.db.states import move
from backend.errors import Conflict
from backend.patches import influence, service
from backend.patches.service import UNRANKED, PatchView
from backend.patches.tables import Patch, PatchInfluence, PatchState
from backend.predictions import service as predictions
from backend.predictions.tables import PatchPrediction, Prediction
from backend.settings import Settings
from backend.slides import service as slides
from backend.slides.tables import Slide, SlideState

Strategy = Literal["uncertainty", "entropy", "random", "clinical"]
FREE = (PatchState.UNREVIEWED, PatchState.PROPOSED, PatchState.RETURNED)


class NotSkippable(Conflict):
    code = "patch_not_skippable"


def take_next(
    session: Session,
    settings: Settings,
    *,
    user: User,
    slide_id: str | None = None,
    after: str | None = None,
    strategy: Strategy = "uncertainty",
) -> PatchView | None:
    """Lease the next patch to a person; None when nothing waits.

    strategy: where the networks disagree (`uncertainty`), where they are unsure (`entropy`),
    anywhere (`random`), or where a correction could change the slide's category (`clinical`).

    What they hold already comes back, except `after`: the patch they leave unsaved, which goes
    back to the queue and is offered to them again only when the rest has been seen.
    """
    if slide_id is not None:
        slides.get(session, slide_id)
    if strategy == "clinical":
        influence.require_scores(session, slide_id)
    free_expired(session)
    left = leave(session, after, user) if after else None
    until = now() + timedelta(minutes=settings.patch_lease_minutes)
    if held := held_by(session, user, slide_id):
        held.lease_until = until
        session.flush()
        return service.view(session, held)
    patch_id = first_waiting(session, slide_id, left, strategy)
    lease = {"lease_user_id": user.id, "lease_until": until}
    if patch_id is None or not move(
        session, Patch, patch_id, PatchState.IN_ANNOTATION, Patch.state.in_(FREE), **lease
    ):
        return None
    return service.view(session, session.get_one(Patch, patch_id, populate_existing=True))


def free_expired(session: Session) -> None:
    """Give back what people leased and forgot."""
    over = (Patch.state == PatchState.IN_ANNOTATION, Patch.lease_until < now())
    for patch in session.scalars(select(Patch).where(*over)).all():
        move(session, Patch, patch.id, waiting(patch), *over, **released())


def waiting(patch: Patch) -> PatchState:
    """Return the state of a patch that is given back undone.

    One that has a mask was leased to correct what a second person returned: it stays returned.
    """
    return PatchState.RETURNED if patch.revision else PatchState.PROPOSED


def released() -> dict[str, None]:
    return {"lease_user_id": None, "lease_until": None}


def leave(session: Session, patch_id: str, user: User) -> Patch:
    """Give a patch back, if it is this person's."""
    patch = service.get(session, patch_id)
    mine = and_(Patch.state == PatchState.IN_ANNOTATION, Patch.lease_user_id == user.id)
    if move(session, Patch, patch_id, waiting(patch), mine, **released()):
        session.refresh(patch)
    return patch


def skip(session: Session, patch_id: str, *, user: User) -> Patch:
    """Put a patch aside for good: nobody is offered it again, though it can still be annotated."""
    patch = service.get(session, patch_id)
    theirs = and_(Patch.lease_user_id.is_not(None), Patch.lease_user_id != user.id)
    if not move(session, Patch, patch_id, PatchState.SKIPPED, ~theirs, **released()):
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


def first_waiting(
    session: Session, slide_id: str | None, left: Patch | None, strategy: Strategy
) -> str | None:
    """Return the best free patch: the ranks of all slides interleaved, if it goes by ranks.

    That is the cap on each slide: of any N patches handed out of S slides that wait, none gives
    more than N/S rounded up, so one slide with a thousand doubtful patches can't fill a round. A
    fixed number would do less (it lets few slides crowd out many) and would end a slide's queue
    while its person still works on it.

    A row that another person's transaction holds this moment is passed over (PostgreSQL; on
    SQLite writers are alone anyway).
    """
    readable = select(Slide.id).where(Slide.state == SlideState.READY)
    if slide_id is not None:
        readable = readable.where(Slide.id == slide_id)
    shown = predictions.shown_of(session, session.scalars(readable).all())
    statement = (
        select(Patch.id)
        .join(PatchPrediction, PatchPrediction.patch_id == Patch.id)
        .where(
            PatchPrediction.prediction_id.in_([each.id for each in shown.values()]),
            Patch.state.in_(FREE),
            Patch.problem.is_(None),
        )
        .with_for_update(of=Patch, skip_locked=True)
        .limit(1)
    )
    rank: ColumnElement[Any] = func.coalesce(PatchPrediction.rank, UNRANKED)
    if strategy == "clinical":
        statement = statement.join(PatchInfluence, influence.OF_PATCH)
        rank = PatchInfluence.rank.expression
    elif strategy == "entropy":
        rank = -PatchPrediction.entropy
    elif strategy == "random":
        rank = func.random()
    order: list[ColumnElement[Any]] = [rank, Patch.slide_id.expression, -PatchPrediction.score]
    order += [Patch.row.expression, Patch.column.expression]
    if left is not None:
        statement = statement.where(Patch.id != left.id)
        if (place := rank_of(session, left, shown.get(left.slide_id), strategy)) is not None:
            further = or_(rank > place, and_(rank == place, Patch.slide_id > left.slide_id))
            order.insert(0, case((further, 0), else_=1))
    return session.scalar(statement.order_by(*order))


def rank_of(
    session: Session, patch: Patch, prediction: Prediction | None, strategy: Strategy
) -> float | None:
    """Return a patch's place in a strategy's order; None if it has none."""
    if strategy == "clinical":
        return session.scalar(
            select(PatchInfluence.rank).join(Patch, influence.OF_PATCH).where(Patch.id == patch.id)
        )
    if prediction is None or strategy == "random":
        return None
    scored = predictions.scores_of(session, prediction.id, [patch.id]).get(patch.id)
    if scored is None:
        return None
    return -scored.entropy if strategy == "entropy" else scored.rank


def reason_of(session: Session, view: PatchView, strategy: Strategy) -> dict[str, Any]:
    """Return why this patch comes now; one that was held before may have no such reason."""
    told = influence.reason_of(session, view.patch) if strategy == "clinical" else None
    if strategy == "random":
        told = {"text": "This patch was drawn at random among those that wait."}
    elif strategy == "entropy" and view.scored:
        nats = view.scored.entropy
        text = f"The model is unsure of its pixels: {nats:.3f} nats on average."
        told = {"text": text, "entropy": nats}
    elif told is None and view.scored:
        told = service.reason_of(view.scored)
    return told or {"text": "You have this patch open."}
