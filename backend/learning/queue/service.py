"""The queue: who gets which patch next. A patch is in one person's hands at a time."""

from datetime import datetime, timedelta
from math import log
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.kit.db.base import now
from backend.kit.facts import tell
from backend.learning.patch_views import service as views
from backend.learning.patch_views.service import PatchView
from backend.learning.predictions import service as predictions
from backend.learning.queue import influence, put_back
from backend.learning.queue.facts import InfluenceWanted
from backend.learning.queue.order import (
    Strategy,
    among,
    best_of_slides,
    first_of,
    first_unheld,
    foremost,
    stretches,
)
from backend.learning.queue.tables import PatchInfluence
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.patches import leases
from backend.slides.patches import service as patches
from backend.slides.patches.tables import Patch

MOST_DOUBT = log(2)
"""Entropy of even odds, nats."""


def take_next(
    session: Session,
    settings: Settings,
    *,
    user: User,
    slide_id: str | None = None,
    after: str | None = None,
    wanted: str | None = None,
    strategy: Strategy = "uncertainty",
) -> PatchView | None:
    """Lease the next patch to a person; None when nothing waits.

    wanted: the one that they were shown as the next: it is, if it is still free, and what they
    hold besides goes back to the queue.

    strategy: areas in doubt, spread over unlike patches (`uncertainty`), where the networks are
    unsure (`entropy`), anywhere (`random`), or where a correction could change the slide's
    category (`clinical`).

    What they hold already comes back, except `after`: the patch they leave unsaved, which goes
    back to the queue and is offered to them again only when the rest has been seen.
    """
    if slide_id is not None:
        slides.get(session, slide_id)
    if strategy == "clinical":
        tell(session, settings, InfluenceWanted(slide_id))
    leases.free_expired(session)
    left = leases.leave(session, after, user) if after else None
    until = now() + timedelta(minutes=settings.patch_lease_minutes)
    held = leases.held_by(session, user, slide_id)
    leased = None
    if wanted is not None and (held is None or held.id != wanted):
        leased = take_wanted(session, wanted, slide_id, user, until)
    if leased and held:
        leases.leave(session, held.id, user)
    elif held and leases.extend(session, held, user, until):
        return views.view(session, held)
    if leased is None:
        patch_id = first_waiting(session, user, slide_id, left, strategy)
        leased = leases.take(session, patch_id, user, until) if patch_id else None
    if leased is None:
        return None
    put_back.forget(session, leased.id, user)
    return views.view(session, leased)


def take_wanted(
    session: Session, patch_id: str, slide_id: str | None, user: User, until: datetime
) -> Patch | None:
    """Lease the patch that a person was shown as the next, if it is still free."""
    patch = patch_of(session, patch_id)
    if patch is None or patch.problem is not None or slide_id not in {None, patch.slide_id}:
        return None
    return leases.take(session, patch_id, user, until)


def patch_of(session: Session, patch_id: str) -> Patch | None:
    return next(iter(patches.by_id(session, [patch_id])), None)


def upcoming(
    session: Session,
    *,
    user: User,
    slide_id: str | None,
    after: str | None,
    strategy: Strategy,
    limit: int,
) -> list[PatchView]:
    """Return the patches that `take_next` would hand out one after the other, as of now.

    after: the one that the person has open. Nobody's lease changes; what is drawn at random is
    drawn anew with each call.
    """
    if slide_id is not None:
        slides.get(session, slide_id)
    left = patch_of(session, after) if after else None
    shown = predictions.shown_on(slides.ready(slide_id))
    passed = [left.id] if left else []
    coming: list[PatchView] = []
    held = leases.held_by(session, user, slide_id)
    if held and held.id not in passed and patches.is_held(held):
        coming.append(views.view(session, held))
    for stretch in stretches(strategy, left, place_of(session, left, strategy), user):
        # the first so many come from the slides whose own first ones are the first so many
        best = best_of_slides(shown, strategy, stretch, passed)
        near = session.scalars(foremost(best, strategy, limit - len(coming))).all()
        while near and len(coming) < limit:
            best = best_of_slides(among(near), strategy, stretch, passed)
            patch = session.scalar(first_of(best, strategy))
            if patch is None:
                break
            passed.append(patch.id)
            coming.append(views.view(session, patch))
    return coming


def first_waiting(
    session: Session,
    user: User,
    slide_id: str | None,
    left: Patch | None,
    strategy: Strategy,
) -> str | None:
    """Return the best free patch: the ranks of all slides interleaved, if it goes by ranks.

    That is the cap on each slide: of any N patches handed out of S slides that wait, none gives
    more than N/S rounded up, so one slide with a thousand doubtful patches can't fill a round. A
    fixed number would do less (it lets few slides crowd out many) and would end a slide's queue
    while its person still works on it.

    A row that another person's transaction holds this moment is passed over (PostgreSQL; on
    SQLite writers are alone anyway).
    """
    readable = slides.ready(slide_id)
    shown = predictions.shown_on(readable)
    place = place_of(session, left, strategy)
    for stretch in stretches(strategy, left, place, user):
        passed = [left.id] if left else []
        while True:
            best = best_of_slides(shown, strategy, stretch, passed)
            if patch := session.scalar(first_unheld(best, strategy)):
                return patch.id
            # nothing there, or each slide's best is held by another transaction this moment
            held = session.scalars(select(best.c.patch_id)).all()
            if not held:
                break
            passed += held
    return None


def place_of(session: Session, patch: Patch | None, strategy: Strategy) -> float | None:
    """Return a patch's place in a strategy's order; None if it has none."""
    if patch is None or strategy == "random":
        return None
    if strategy == "clinical":
        row = session.get(PatchInfluence, (patch.slide_id, patch.row, patch.column))
        return row.rank if row else None
    prediction = predictions.shown(session, patch.slide_id)
    if prediction is None:
        return None
    scored = predictions.scores_of(session, prediction.id, [patch.id]).get(patch.id)
    if scored is None:
        return None
    return -scored.entropy if strategy == "entropy" else scored.rank


def reason_of(session: Session, view: PatchView, strategy: Strategy) -> dict[str, Any]:
    """Return why this patch comes now; one that was held before may have no such reason."""
    reason = influence.reason_of(session, view.patch) if strategy == "clinical" else None
    if strategy == "random":
        reason = {"text": "This patch was drawn at random among those that wait."}
    elif strategy == "entropy" and view.scored:
        doubt = view.scored.entropy
        text = (
            "The model is unsure of its pixels: on average "
            f"{100 * doubt / MOST_DOUBT:.0f} % of the greatest doubt, which is even odds."
        )
        reason = {"text": text, "entropy": doubt}
    elif reason is None and view.scored:
        reason = views.reason_of(view.scored)
    return reason or {"text": "You have this patch open."}
