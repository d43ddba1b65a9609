"""The migrations make exactly the tables that the code describes, on both engines."""

from alembic import command
from sqlalchemy import inspect

from backend.db.migrate import config
from backend.db.session import Database


def test_migrated_tables_are_the_described_ones(database: Database, every_table: list[str]) -> None:
    command.check(config())
    assert set(every_table) <= set(inspect(database.engine).get_table_names())


def test_downgrade_removes_everything(database: Database, every_table: list[str]) -> None:
    command.downgrade(config(), "base")
    assert not set(every_table) & set(inspect(database.engine).get_table_names())
    command.upgrade(config(), "head")
