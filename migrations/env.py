"""Alembic's environment: the installation's own engine and all its tables."""

from alembic import context

from backend.db.session import get_database
from backend.db.tables import Base
from backend.settings import get_settings

database = get_database(get_settings().sqlalchemy_url)

with database.engine.execution_options(writes=True).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        # SQLite changes a table by copying it
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
