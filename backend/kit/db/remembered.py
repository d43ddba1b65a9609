"""Rows that were read a moment ago and are believed for another one: a tile asks for no row.

What this process commits is known at once. What others do (another process of the API, a worker)
is known after SECONDS, so only what may be so late is remembered: who may look, what a slide is.
"""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from anyio import to_thread

from backend.kit.db.session import Database

SECONDS = 2.0
"""A right that another process takes away, or a slide that it deletes, is gone here after this."""
Value = TypeVar("Value")
clock = time.monotonic


class Remembered(Generic[Value]):
    """What was read of some tables, by keys; errors are not remembered.

    tables: whose rows the values are made of. most: values kept; of more, all are forgotten.
    No lock is held: two who ask for the same at once both read it.
    """

    def __init__(self, *tables: str, most: int) -> None:
        self.tables = tables
        self.most = most
        self._of: WeakKeyDictionary[
            Database, dict[Hashable, tuple[float, tuple[int, ...], Value]]
        ] = WeakKeyDictionary()

    async def get(self, database: Database, key: Hashable, read: Callable[[], Value]) -> Value:
        """Return what is remembered, else what `read` returns, which is called in a thread."""
        values = self._of.setdefault(database, {})
        state, now = database.changes.state_of(self.tables), clock()
        entry = values.get(key)
        if entry is not None and entry[0] > now and entry[1] == state:
            return entry[2]
        value = await to_thread.run_sync(read)
        if len(values) >= self.most:
            values.clear()
        # as of before it was read: whoever writes meanwhile makes it old
        values[key] = now + SECONDS, state, value
        return value
