"""What the queue's order is, as statements: each slide's first patch, and the first of these."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Subquery, and_, func, select

from backend.learning.patch_views.service import UNRANKED
from backend.learning.predictions.tables import PatchPrediction, Prediction
from backend.learning.queue import influence
from backend.learning.queue.tables import PatchInfluence
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
