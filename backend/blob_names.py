"""Every blob that a row names, in whatever table and column: what no sweep may take.

Read from the tables' description, so that a column that is added tomorrow counts as well: what
looks like a sha256 is one. A hash that names no blob does no harm.
"""

import json
import re
from collections.abc import Iterator

from sqlalchemy import JSON, String, select
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from backend.tables import Base

NAME = re.compile(r"[0-9a-f]{64}")
SHA256_LENGTH = 64
SILENT = frozenset(
    {
        # these tell of what was there once, deleted slides too
        "audit_entries",
        "audit_head",
        "events",
        "webhook_deliveries",
        # hashes of pixels in pyramids, and numbers: many rows and no blob
        "predictions",
        "prediction_shards",
        "patch_predictions",
        "patch_influences",
        # hashes of secrets
        "api_tokens",
        "browser_sessions",
        "sign_in_links",
    }
)
ROWS_AT_ONCE = 10_000


def blob_names(session: Session) -> set[str]:
    """Return the sha256 of every blob that the database names."""
    return set(names_in_tables(session))


def names_in_tables(session: Session) -> Iterator[str]:
    for table in Base.metadata.sorted_tables:
        if table.name in SILENT:
            continue
        for column in table.columns:
            if not may_name(column.type):
                continue
            statement = select(column).where(column.is_not(None)).distinct()
            if isinstance(column.type, JSON):
                # PostgreSQL can't compare JSON
                statement = select(column).where(column.is_not(None))
            for value in session.scalars(statement.execution_options(yield_per=ROWS_AT_ONCE)):
                yield from NAME.findall(value if isinstance(value, str) else json.dumps(value))


def may_name(kind: TypeEngine[object]) -> bool:
    return isinstance(kind, JSON) or (isinstance(kind, String) and kind.length == SHA256_LENGTH)
