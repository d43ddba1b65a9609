"""States: transition tables and the one function that moves a row from one state to another."""

from enum import StrEnum
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from backend.kit.errors import Conflict
from backend.kit.events.service import announce


def move(
    session: Session, table: type[Any], row_id: str, to: StrEnum, *where: Any, **values: Any
) -> bool:
    """Move a row to a state in one UPDATE and say whether this caller did it.

    table: with `id`, `state`, the table of its allowed moves (TRANSITIONS), the topic of its events
    (TOPIC), the columns that go with them (ANNOUNCED), and, where that is not `id`, the column
    whose value they name a row by (NAMED_BY).

    `where` narrows the move further (an owner, a lease); `values` are set with it.
    The event that people see is written in the same transaction.
    """
    allowed = [state for state, targets in table.TRANSITIONS.items() if to in targets]
    named_by = getattr(table, "NAMED_BY", "id")
    row = session.execute(
        update(table)
        .where(table.id == row_id, table.state.in_(allowed), *where)
        .values(state=to, **values)
        .returning(*(getattr(table, name) for name in table.ANNOUNCED), getattr(table, named_by))
        .execution_options(synchronize_session="fetch")
    ).first()
    if row is None:
        return False
    columns = dict(zip(table.ANNOUNCED, row, strict=False))
    announce(session, table.TOPIC, row[-1], {"state": str(to), **columns})
    return True


def move_or_conflict(
    session: Session, table: type[Any], row_id: str, to: StrEnum, detail: str, **values: Any
) -> None:
    """Move a row, or tell the person why it can't be moved now."""
    if not move(session, table, row_id, to, **values):
        raise Conflict(detail, code=f"{table.TOPIC}_state")
