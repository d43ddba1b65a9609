"""Alembic's environment: the installation's own engine and all its tables."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy.types import TypeDecorator

from backend.db.session import get_database
from backend.db.tables import Base
from backend.settings import get_settings


def as_plain_type(kind: str, item: Any, _: AutogenContext) -> str | Literal[False]:
    """Render our column types as what they are in SQL: a migration outlives our classes."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


def comparable(_: Any, name: str | None, kind: str, *__: Any) -> bool:
    """Leave out the index over a constant: Alembic can't read it back to compare it."""
    return (kind, name) != ("index", "uq_rounds_live")


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
    with context.begin_transaction():
        context.run_migrations()
