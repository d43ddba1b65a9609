"""PostgreSQL's rows in a backup: COPY of every table, in one snapshot; it needs no pg_dump.

https://www.postgresql.org/docs/current/sql-copy.html. The tables themselves are made by the
migrations, up to the revision that the backup names.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from psycopg import sql
from sqlalchemy import Connection, inspect, text

from backend.backup.files import BackupDamaged
from backend.kit.db.migrate import config
from backend.kit.db.session import Database

FOLDER, LIST = "tables", "tables.json"
REVISIONS = "alembic_version"
GENERATED = text(
    "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() "
    "AND table_name = :name AND (column_default LIKE 'nextval(%' OR is_identity = 'YES')"
)


def dump(database: Database, backup: Path) -> None:
    """Copy all rows as they are in this moment; nobody waits."""
    (backup / FOLDER).mkdir()
    snapshot = database.engine.execution_options(isolation_level="REPEATABLE READ")
    with snapshot.connect() as connection:
        tables = {
            name: [column["name"] for column in inspect(connection).get_columns(name)]
            for name in ordered(connection)
        }
        for name, columns in tables.items():
            statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(
                names_of(columns), sql.Identifier(name)
            )
            with (
                gzip.open(backup / FOLDER / f"{name}.copy.gz", "wb", compresslevel=1) as file,
                driver(connection).cursor() as cursor,
                cursor.copy(statement) as rows,
            ):
                for piece in rows:
                    file.write(piece)
    (backup / LIST).write_text(json.dumps(tables))


def load(database: Database, backup: Path, revision: str) -> None:
    """Make the tables of a revision and fill them, in one transaction. Raise BackupDamaged."""
    try:
        tables: dict[str, list[str]] = json.loads((backup / LIST).read_bytes())
    except (OSError, ValueError):
        raise BackupDamaged(f"The list of the backup's tables, {LIST}, can't be read.") from None
    command.upgrade(config(), revision)
    with database.engine.begin() as connection:
        there = [name for name in ordered(connection) if name != REVISIONS]
        if set(there) != set(tables) - {REVISIONS}:
            raise BackupDamaged(f"The backup's tables are not those of its revision {revision}.")
        for name in there:
            fill(connection, name, tables[name], backup)


def fill(connection: Connection, name: str, columns: list[str], backup: Path) -> None:
    table = sql.Identifier(name)
    # what a migration has put in; a table that only grows is empty, and must not hear of it
    if connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar():  # noqa: S608 - ours
        connection.execute(text(f'DELETE FROM "{name}"'))  # noqa: S608 - ours
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(table, names_of(columns))
    try:
        with (
            gzip.open(backup / FOLDER / f"{name}.copy.gz") as file,
            driver(connection).cursor() as cursor,
            cursor.copy(statement) as rows,
        ):
            while piece := file.read(1 << 20):
                rows.write(piece)
    except (OSError, EOFError, psycopg.DataError, psycopg.IntegrityError) as error:
        raise BackupDamaged(f"The backup's table {name} can't be read: {error}") from None
    for column in connection.execute(GENERATED, {"name": name}).scalars().all():
        connection.execute(
            text(
                "SELECT setval(pg_get_serial_sequence(:name, :column), "  # noqa: S608 - ours
                f'coalesce(max("{column}"), 1), max("{column}") IS NOT NULL) FROM "{name}"'
            ),
            {"name": name, "column": column},
        )


def ordered(connection: Connection) -> Iterator[str]:
    """Yield the tables, each after those that its rows point at."""
    for name, _ in inspect(connection).get_sorted_table_and_fkc_names():
        if name is not None:
            yield name


def names_of(columns: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(each) for each in columns)


def driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
