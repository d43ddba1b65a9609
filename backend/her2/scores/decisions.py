"""People's decisions on a slide's cells as a report freezes them: what, who, when and why."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.her2.scores.tables import CellAction, CellDecision


@dataclass(frozen=True)
class FrozenDecision:
    """A decision on the nucleus that lay at x, y (level-0 px) when it was made.

    `by`, `at` and `reason` are None where the report was asked for before they were frozen.
    """

    x: float
    y: float
    action: CellAction
    label: str | None
    number: int | None = None
    by: str | None = None
    at: str | None = None
    reason: str | None = None


def of_report(session: Session, report_id: str) -> Sequence[CellDecision]:
    """Return the decisions that were made in a report, in their order."""
    return session.scalars(
        select(CellDecision)
        .where(CellDecision.report_id == report_id)
        .order_by(CellDecision.number)
    ).all()


def standing(session: Session, slide_id: str) -> list[CellDecision]:
    """Return the decisions on a slide's cells that stand, in the order in which they count.

    A decision is about the nucleus at its place as it was measured then: the last one there counts.
    Measured anew it may lie elsewhere: of two decisions that now fall on one cell the later counts.
    """
    rows = session.scalars(
        select(CellDecision)
        .where(CellDecision.slide_id == slide_id)
        # reports' own decisions of earlier versions have later numbers than their time
        .order_by(CellDecision.created_at, CellDecision.number)
    )
    last: dict[tuple[float, float], CellDecision] = {}
    for row in rows:
        last.pop((row.x, row.y), None)
        last[row.x, row.y] = row
    return list(last.values())


def frozen(rows: Iterable[CellDecision]) -> list[dict[str, Any]]:
    """Return decisions as what is stored and hashed."""
    return [
        {
            "number": row.number,
            "x": row.x,
            "y": row.y,
            "action": str(row.action),
            "class": row.label,
            "by": {"id": row.author_id, "name": row.author.name},
            "at": row.created_at.isoformat(),
            "reason": row.reason,
        }
        for row in rows
    ]


def read(content: bytes) -> list[FrozenDecision]:
    """Read what `frozen` made; older reports froze x, y, action and class alone."""
    return [of_row(row) for row in json.loads(content)]


def of_row(row: Any) -> FrozenDecision:
    if isinstance(row, list):
        x, y, action, label = row
        return FrozenDecision(x, y, CellAction(action), label)
    return FrozenDecision(
        row["x"],
        row["y"],
        CellAction(row["action"]),
        row["class"],
        row["number"],
        row["by"]["name"],
        row["at"],
        row["reason"],
    )
