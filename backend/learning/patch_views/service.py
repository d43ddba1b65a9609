"""Patches as people see them: listed in an order, each with what the model says of it."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, func, literal, select, tuple_
from sqlalchemy.orm import Session

from backend.kit.paging import BadCursor
from backend.learning.predictions import service as predictions
from backend.learning.predictions.tables import PatchPrediction, Prediction
from backend.slides.patches import service as patches
from backend.slides.patches.service import Holder
from backend.slides.patches.tables import Patch, PatchState

Order = Literal["uncertainty", "position"]
UNRANKED = 2**31 - 1
UNSCORED = 1e9
"""Sorts after every -score."""
LARGEST_KEY = 1e12


@dataclass(frozen=True)
class PatchView:
    """A patch, what a model version says of it, and the name of that version."""

    patch: Patch
    scored: PatchPrediction | None
    prediction: Prediction | None
    model_name: str | None
    holder: Holder | None
    """Who has it in hand now."""


def view(session: Session, patch: Patch) -> PatchView:
    """Add to one patch what the model version says of it whose prediction the slide shows."""
    known = predictions.of_patch(session, patch.id)
    holder = patches.holders(session, [patch]).get(patch.id)
    if known is None:
        return PatchView(patch, None, None, None, holder)
    scored, prediction = known
    name = predictions.model_names(session, [prediction])[prediction.model_version_id]
    return PatchView(patch, scored, prediction, name, holder)


def listing(
    session: Session,
    slide_id: str,
    *,
    order: Order,
    state: PatchState | None,
    model_version_id: str | None,
    limit: int,
    cursor: str | None,
) -> tuple[list[PatchView], str | None]:
    """Return a page of a slide's patches: by the queue's rank, or by rows of the grid."""
    prediction = (
        predictions.of_version(session, slide_id, model_version_id)
        if model_version_id
        else predictions.shown(session, slide_id)
    )
    scored = and_(
        PatchPrediction.patch_id == Patch.id,
        PatchPrediction.prediction_id == (prediction.id if prediction else ""),
    )
    keys = key_of(order)
    statement = (
        select(Patch, PatchPrediction, *keys)
        .outerjoin(PatchPrediction, scored)
        .where(Patch.slide_id == slide_id)
    )
    if state is not None:
        statement = statement.where(Patch.state == state)
    if cursor is not None:
        last = [literal(value) for value in decoded(cursor, len(keys))]
        statement = statement.where(tuple_(*keys) > tuple_(*last))
    rows = session.execute(statement.order_by(*keys).limit(limit + 1)).all()
    names = predictions.model_names(session, [prediction] if prediction else [])
    name = names[prediction.model_version_id] if prediction else None
    held = patches.holders(session, [row[0] for row in rows[:limit]])
    page = [
        PatchView(
            row[0],
            row[1],
            prediction if row[1] else None,
            name if row[1] else None,
            held.get(row[0].id),
        )
        for row in rows[:limit]
    ]
    more = len(rows) > limit
    return page, encoded(rows[limit - 1][2:]) if more else None


def key_of(order: Order) -> Sequence[ColumnElement[Any]]:
    """Return the columns that order patches: no two patches of a slide have equal ones."""
    if order == "position":
        return Patch.row.expression, Patch.column.expression
    return (
        func.coalesce(PatchPrediction.rank, UNRANKED),
        func.coalesce(-PatchPrediction.score, UNSCORED),
        Patch.row.expression,
        Patch.column.expression,
    )


def encoded(key: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(key)).encode()).decode()


def decoded(cursor: str, length: int) -> list[float]:
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor))
    except ValueError:
        key = None
    if not isinstance(key, list) or len(key) != length or not all(map(is_number, key)):
        raise BadCursor("This cursor is not from a list in this order.")
    return key


def is_number(value: object) -> bool:
    """Say whether it may be compared with a column; the databases know no larger integers."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= LARGEST_KEY


UNLIKE = 0.5
"""Distance to the patches shown before, 0 to 1, from which a patch is said to be unlike them."""


def reason_of(scored: PatchPrediction) -> dict[str, Any]:
    """Return why a patch is shown: the selector's reason, or its figures before the ranking."""
    share = f"{100 * scored.flagged_fraction:.1f} %"
    if scored.reason is not None:
        unlike = scored.reason.get("diversity", 0) >= UNLIKE
        ending = ", and it is unlike the patches before it" if unlike else ""
        return scored.reason | {"text": f"The model is in doubt about {share} of it{ending}."}
    return {
        "text": (
            f"The model is in doubt about {share} of it. "
            "The slide is still being read, so the order may change."
        ),
        "flagged_fraction": scored.flagged_fraction,
        "entropy": scored.entropy,
        "score": scored.score,
    }
