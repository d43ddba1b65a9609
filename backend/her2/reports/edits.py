"""Decisions on cells that were made in a report: the slide's, with the cell's number in the report.

What is signed has them frozen in its row, and they count as they were then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from backend.her2.reports.tables import Report
from backend.her2.scores import decisions
from backend.her2.scores.tables import CellAction
from backend.people.users.tables import User


class Author(NamedTuple):
    """Who decided, as they were called then."""

    id: str
    name: str


@dataclass(frozen=True)
class Edit:
    """A decision on one cell of a report. number: its place in their order, from 1."""

    number: int
    cell: int
    action: CellAction
    label: str | None
    measured: str
    author: Author | User
    reason: str
    created_at: datetime


def of_report(session: Session, report: Report) -> list[Edit]:
    """Return every decision on cells that was made in a report, in their order."""
    frozen_edits = [thawed(each) for each in report.frozen_edits or ()]
    if report.signed_at is not None and report.frozen_edits is not None:
        return frozen_edits
    return frozen_edits + [
        Edit(
            number=number,
            cell=row.cell or 0,
            action=row.action,
            label=row.label,
            measured=str(row.measured),
            author=row.author,
            reason=row.reason,
            created_at=row.created_at,
        )
        for number, row in enumerate(decisions.of_report(session, report.id), len(frozen_edits) + 1)
    ]


def standing(edits: Sequence[Edit]) -> list[Edit]:
    """Return the decisions that count: each cell's last one, unless it takes all back."""
    last = {edit.cell: edit for edit in edits}
    return [last[cell] for cell in sorted(last) if last[cell].action != CellAction.INCLUDE]


def frozen(edits: Iterable[Edit]) -> list[dict[str, Any]]:
    """Return decisions as a signed report keeps them."""
    return [
        exported(edit) | {"by": {"id": edit.author.id, "name": edit.author.name}} for edit in edits
    ]


def thawed(row: dict[str, Any]) -> Edit:
    """Read what `frozen` made."""
    return Edit(
        number=row["number"],
        cell=row["cell"],
        action=CellAction(row["action"]),
        label=row["class"],
        measured=row["measured"],
        author=Author(**row["by"]),
        reason=row["reason"],
        created_at=datetime.fromisoformat(row["at"]),
    )


def exported(edit: Edit) -> dict[str, Any]:
    """Return a decision as it is exported, and bound by the signature."""
    return {
        "number": edit.number,
        "cell": edit.cell,
        "action": str(edit.action),
        "class": edit.label,
        "measured": edit.measured,
        "by": edit.author.name,
        "at": edit.created_at.isoformat(),
        "reason": edit.reason,
    }
