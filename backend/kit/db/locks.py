"""One at a time, by name: for what a row can't hold, as a file that comes and goes with it."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def alone(session: Session, name: str) -> None:
    """Wait until no other transaction has this name; have it until the end of this one.

    On SQLite writers are alone anyway; `session` must be one that writes.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
