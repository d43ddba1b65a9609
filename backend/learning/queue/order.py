"""What the queue's order is, as statements: each slide's first patch, and the first of these."""

from collections.abc import Iterator, Sequence
from random import getrandbits
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Subquery, and_, func, or_, select

from backend.learning.patch_views.service import UNRANKED
from backend.learning.predictions.tables import PatchPrediction, Prediction
from backend.learning.queue import influence, put_back
from backend.learning.queue.tables import PatchInfluence
from backend.people.users.tables import User
from backend.slides.patches.leases import FREE
from backend.slides.patches.tables import LOT, Patch

Strategy = Literal["uncertainty", "entropy", "random", "clinical"]
WAITS = (Patch.state.in_(FREE), Patch.problem.is_(None))
AMONG_EQUALS = (-PatchPrediction.score, Patch.row.expression, Patch.column.expression)


def first_of(best: Subquery, strategy: Strategy) -> Select[Patch]:
    """Select the first of the slides' best patches."""
    statement = (
        select(Patch)
        .join(best, best.c.patch_id == Patch.id)
        .join(
            PatchPrediction,
            and_(
                PatchPrediction.patch_id == best.c.patch_id,
                PatchPrediction.prediction_id == best.c.prediction_id,
            ),
        )
        .where(*WAITS)
        .order_by(*order_of(strategy))
        .limit(1)
    )
    return by_influence(statement) if strategy == "clinical" else statement


def by_influence(statement: Select[Any]) -> Select[Any]:
    return statement.join(PatchInfluence, influence.OF_PATCH)


def key_of(strategy: Strategy) -> ColumnElement[Any]:
    """Return what a strategy goes by; the least comes first."""
    if strategy == "clinical":
        return PatchInfluence.rank.expression
    if strategy == "random":
        return LOT
    return -PatchPrediction.entropy if strategy == "entropy" else PatchPrediction.rank.expression


def order_of(strategy: Strategy) -> list[ColumnElement[Any]]:
    key = key_of(strategy)
    first = key if strategy == "random" else func.coalesce(key, UNRANKED)
    return [first, Patch.slide_id.expression, *AMONG_EQUALS]


def best_of_slides(
    shown: Select[str],
    strategy: Strategy,
    stretch: Sequence[ColumnElement[bool]],
    passed: Sequence[str],
) -> Subquery:
    """Select each slide's first free patch in a stretch of the queue, but those passed over.

    `prediction_id` and `patch_id` of those slides that have one.

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
    elif strategy == "random":
        first = drawn(stretch, passed)
    # lots are as good as never equal, and what else they went by would be sorted out of the index
    order = [key, Patch.id.expression] if strategy == "random" else [key, *AMONG_EQUALS]
    of_slide = first.order_by(*order).limit(1).correlate(Prediction).scalar_subquery()
    waits = (
        select(Patch.id).where(Patch.slide_id == Prediction.slide_id, *WAITS).correlate(Prediction)
    )
    best = (
        select(Prediction.id.label("prediction_id"), of_slide.label("patch_id"))
        .where(Prediction.id.in_(shown), waits.exists())
        .cte("of_slides")
        # else PostgreSQL looks for each slide's first patch once for every use of it
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    there = select(best.c.prediction_id, best.c.patch_id).where(best.c.patch_id.is_not(None))
    return there.subquery("best")


def drawn(stretch: Sequence[ColumnElement[bool]], passed: Sequence[str]) -> Select[str]:
    """Select the free patches of a prediction's slide that it has seen.

    Whether it has is asked of one after the other in the order of the lots: of a join a planner
    believes that it leaves next to nothing, and sorts all of it.
    """
    seen = (
        select(PatchPrediction.patch_id)
        .where(PatchPrediction.prediction_id == Prediction.id, PatchPrediction.patch_id == Patch.id)
        .correlate(Prediction, Patch)
        .scalar_subquery()
    )
    return select(Patch.id).where(
        Patch.slide_id == Prediction.slide_id,
        Patch.id.not_in(passed),
        *WAITS,
        *stretch,
        seen.is_not(None),
    )


def first_unheld(best: Subquery, strategy: Strategy) -> Select[Patch]:
    """Select the same for a transaction that will take it: what another one holds is left out."""
    return first_of(best, strategy).with_for_update(of=Patch, skip_locked=True)


def foremost(best: Subquery, strategy: Strategy, count: int) -> Select[str]:
    """Select the predictions of the first so many slides: the first so many patches are theirs."""
    return first_of(best, strategy).with_only_columns(best.c.prediction_id).limit(count)


def among(prediction_ids: Sequence[str]) -> Select[str]:
    return select(Prediction.id).where(Prediction.id.in_(prediction_ids))


def stretches(
    strategy: Strategy, left: Patch | None, place: float | None, user: User
) -> Iterator[Sequence[ColumnElement[bool]]]:
    """Yield the parts of the queue in turn; what the person has put back comes at the end."""
    later = put_back.by(user, Patch.id.expression)
    for stretch in in_order(strategy, left, place):
        yield [*stretch, ~later]
    for stretch in in_order(strategy, None, None):
        yield [*stretch, later]


def in_order(
    strategy: Strategy, left: Patch | None, place: float | None
) -> Iterator[Sequence[ColumnElement[bool]]]:
    """Yield the parts of the queue in turn: after the patch that was left, then from its start.

    What has no rank comes after all that has. At random: from anywhere on, and round.
    """
    key = key_of(strategy)
    if strategy == "random":
        yield [key >= f"{getrandbits(32):08x}"]
        yield []
        return
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
