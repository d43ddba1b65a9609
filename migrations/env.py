"""Alembic's environment: the installation's own engine and all its tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection
from sqlalchemy.types import TypeDecorator

from backend.kit.db.session import get_database
from backend.settings import get_settings
from backend.tables import Base


def as_plain_type(kind: str, item: Any, _: AutogenContext) -> str | Literal[False]:
    """Render our column types as what they are in SQL: a migration outlives our classes."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


def comparable(_: Any, name: str | None, kind: str, *__: Any) -> bool:
    """Leave out the index over a constant: Alembic can't read it back to compare it."""
    return (kind, name) != ("index", "uq_rounds_live")


class ForeignKeysBroken(Exception):
    """Rows point at what a migration took away."""


@contextmanager
def keys_unheeded(connection: Connection) -> Iterator[None]:
    """Let SQLite drop a table that others point at: its changed copy takes its place."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    # said within a transaction it would not be heeded
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def refuse_broken_keys(connection: Connection) -> None:
    """Undo a migration after which a row of SQLite points at nothing."""
    if connection.dialect.name != "sqlite":
        return
    if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall():
        raise ForeignKeysBroken(broken)


database = get_database(get_settings().sqlalchemy_url)

with database.engine.execution_options(writes=True).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        # SQLite changes a table by copying it
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        compare_type=True,
        render_item=as_plain_type,
        include_object=comparable,
    )
    with keys_unheeded(connection), context.begin_transaction():
        context.run_migrations()
        refuse_broken_keys(connection)
