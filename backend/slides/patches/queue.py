"""The queue: who gets which patch next. A patch is in one person's hands at a time."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import log
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from backend.kit.db.base import now
from backend.kit.db.states import move
from backend.kit.errors import Conflict
from backend.learning.predictions import service as predictions
from backend.learning.predictions.tables import PatchPrediction, Prediction
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide, SlideState
from backend.slides.patches import influence, service
from backend.slides.patches.service import UNRANKED, PatchView
from backend.slides.patches.tables import Patch, PatchInfluence, PatchState

Strategy = Literal["uncertainty", "entropy", "random", "clinical"]
MOST_DOUBT = log(2)
"""Entropy of even odds, nats."""
FREE = (PatchState.UNREVIEWED, PatchState.PROPOSED, PatchState.RETURNED)
WAITS = (Patch.state.in_(FREE), Patch.problem.is_(None))
AMONG_EQUALS = (-PatchPrediction.score, Patch.row.expression, Patch.column.expression)


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
    if (held := held_by(session, user, slide_id)) and extend(session, held, user, until):
        return service.view(session, held)
    patch_id = first_waiting(session, slide_id, left, strategy)
    lease = {"lease_user_id": user.id, "lease_until": until}
    if patch_id is None or not move(
        session, Patch, patch_id, PatchState.IN_ANNOTATION, Patch.state.in_(FREE), **lease
    ):
        return None
    return service.view(session, session.get_one(Patch, patch_id, populate_existing=True))


def free_expired(session: Session) -> None:
    """Give back what people leased and forgot; what somebody else gives back now is theirs."""
    over = (Patch.state == PatchState.IN_ANNOTATION, Patch.lease_until < now())
    # two who wait for each other's rows would both fail
    expired = select(Patch).where(*over).with_for_update(skip_locked=True)
    for patch in session.scalars(expired).all():
        move(session, Patch, patch.id, waiting(patch), *over, **released())


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
    prediction_ids = [each.id for each in shown.values()]
    if strategy == "random":
        return session.scalar(free(prediction_ids, strategy).order_by(func.random()))
    place = rank_of(session, left, shown.get(left.slide_id), strategy) if left else None
    for stretch in stretches(strategy, left, place):
        passed = [left.id] if left else []
        while best := best_of_slides(session, prediction_ids, strategy, stretch, passed):
            statement = free(prediction_ids, strategy).where(Patch.id.in_(best))
            if found := session.scalar(statement.order_by(*order_of(strategy))):
                return found
            passed += best
    return None


def free(prediction_ids: Sequence[str], strategy: Strategy) -> Select[str]:
    """Select one patch that waits, and hold its row."""
    statement = (
        select(Patch.id)
        .join(PatchPrediction, PatchPrediction.patch_id == Patch.id)
        .where(PatchPrediction.prediction_id.in_(prediction_ids), *WAITS)
        .with_for_update(of=Patch, skip_locked=True)
        .limit(1)
    )
    return by_influence(statement) if strategy == "clinical" else statement


def by_influence(statement: Select[Any]) -> Select[Any]:
    return statement.join(PatchInfluence, influence.OF_PATCH)


def key_of(strategy: Strategy) -> ColumnElement[Any]:
    """Return what a strategy goes by; the least comes first."""
    if strategy == "clinical":
        return PatchInfluence.rank.expression
    return -PatchPrediction.entropy if strategy == "entropy" else PatchPrediction.rank.expression


def order_of(strategy: Strategy) -> list[ColumnElement[Any]]:
    key = func.coalesce(key_of(strategy), UNRANKED)
    return [key, Patch.slide_id.expression, *AMONG_EQUALS]


def stretches(
    strategy: Strategy, left: Patch | None, place: float | None
) -> Iterator[Sequence[ColumnElement[bool]]]:
    """Yield the parts of the queue in turn: after the patch that was left, then from its start.

    What has no rank comes after all that has.
    """
    key = key_of(strategy)
    ranked = [key.is_not(None)]
    if left is not None and place is not None:
        yield [*ranked, or_(key > place, and_(key == place, Prediction.slide_id > left.slide_id))]
        if strategy == "uncertainty":
            yield [key.is_(None)]
        yield ranked
        return
    yield ranked
    if strategy == "uncertainty":
        yield [key.is_(None)]


def best_of_slides(
    session: Session,
    prediction_ids: Sequence[str],
    strategy: Strategy,
    stretch: Sequence[ColumnElement[bool]],
    passed: Sequence[str],
) -> list[str]:
    """Return each slide's first free patch in a stretch of the queue, but those passed over.

    Found by an index that is in a strategy's order, so that only what is done already is walked
    past, and not a slide's every patch.
    """
    first = (
        select(PatchPrediction.patch_id)
        .join(Patch, PatchPrediction.patch_id == Patch.id)
        .where(
            PatchPrediction.prediction_id == Prediction.id,
            Patch.id.not_in(passed),
            *WAITS,
            *stretch,
        )
    )
    key = key_of(strategy)
    if strategy == "clinical":
        first = by_influence(first).where(PatchInfluence.slide_id == Prediction.slide_id)
    elif strategy == "entropy":
        # as the index has it
        key = PatchPrediction.entropy.desc()
    of_slide = first.order_by(key, *AMONG_EQUALS).limit(1).correlate(Prediction).scalar_subquery()
    waits = (
        select(Patch.id).where(Patch.slide_id == Prediction.slide_id, *WAITS).correlate(Prediction)
    )
    found = session.scalars(
        select(of_slide).where(Prediction.id.in_(prediction_ids), waits.exists())
    )
    return [each for each in found if each is not None]


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
        doubt = view.scored.entropy
        text = (
            "The model is unsure of its pixels: on average "
            f"{100 * doubt / MOST_DOUBT:.0f} % of the greatest doubt, which is even odds."
        )
        told = {"text": text, "entropy": doubt}
    elif told is None and view.scored:
        told = service.reason_of(view.scored)
    return told or {"text": "You have this patch open."}
