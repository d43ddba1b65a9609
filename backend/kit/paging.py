"""Lists in pages: keyset cursors, so that rows added meanwhile shift nothing."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from backend.kit.contract import FULL
from backend.kit.errors import BadRequest

Limit = Annotated[int, Query(ge=1, le=1000, description="Rows in one page.")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the last page.")]
ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
T = TypeVar("T")
Row = TypeVar("Row")


class BadCursor(BadRequest):
    code = "bad_cursor"


class Page(BaseModel, Generic[T]):
    model_config = FULL

    items: list[T]
    next_cursor: str | None = None


def paginate(
    session: Session,
    statement: Select[Row],
    column: InstrumentedAttribute[str],
    *,
    limit: int,
    cursor: str | None,
    newest_first: bool = False,
) -> tuple[Sequence[Row], str | None]:
    """Return one page of rows ordered by a column of ids, and the cursor of the next.

    Raise BadCursor for one that no page ended with: compared as text it would skip anything.
    """
    if cursor is not None:
        if not ID.fullmatch(cursor):
            raise BadCursor("This cursor is not from a list here; begin without one.")
        statement = statement.where(column < cursor if newest_first else column > cursor)
    order: Any = column.desc() if newest_first else column
    rows = session.scalars(statement.order_by(order).limit(limit + 1)).all()
    page = rows[:limit]
    more = len(rows) > limit
    return page, getattr(page[-1], column.key) if more else None


@dataclass(frozen=True)
class PageRequest:
    """Which page a client asks for: a dependency of routes that list 100 rows unless told."""

    limit: Limit = 100
    cursor: Cursor = None

    def newest_rows(
        self,
        session: Session,
        statement: Select[Row],
        column: InstrumentedAttribute[str],
    ) -> tuple[Sequence[Row], str | None]:
        """Return the page's rows, newest first, and the cursor of the next."""
        return paginate(
            session, statement, column, limit=self.limit, cursor=self.cursor, newest_first=True
        )

    def newest(
        self,
        session: Session,
        statement: Select[Row],
        column: InstrumentedAttribute[str],
        shown: Callable[[Row], T],
    ) -> Page[T]:
        """Return the page, newest first, each row as `shown` makes it the contract's."""
        rows, next_cursor = self.newest_rows(session, statement, column)
        return Page(items=[shown(row) for row in rows], next_cursor=next_cursor)


Paged = Annotated[PageRequest, Depends()]
