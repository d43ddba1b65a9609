"""A slide's patches in the grid's order, however many there are."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import RowMapping, Select, tuple_

from backend.kit.db.session import Database
from backend.slides.patches.tables import Patch

PAGE = 200
PLACE = (
    Patch.id.label("patch_id"),
    *(Patch.row, Patch.column, Patch.x0, Patch.y0, Patch.size0),
)
"""Which patch, and where it lies."""


def rows(database: Database, statement: Select[*tuple[Any, ...]]) -> Iterator[RowMapping]:
    """Yield the rows of a select of patches; read by pages, no transaction stays open.

    What is selected holds `row` and `column`; of a place there is one row at most.
    """
    place = tuple_(Patch.row, Patch.column)
    ordered = statement.order_by(Patch.row, Patch.column).limit(PAGE)
    after = (-1, -1)
    while True:
        with database.reading() as session:
            page = session.execute(ordered.where(place > after)).mappings().all()
        yield from page
        if len(page) < PAGE:
            return
        after = (page[-1]["row"], page[-1]["column"])
