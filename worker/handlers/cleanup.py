"""Housekeeping: what has passed its time is forgotten."""

from datetime import timedelta

from backend.db.base import now
from backend.events import service as events
from backend.uploads import service as uploads
from worker.context import JobContext

EVENTS_KEPT = timedelta(days=7)


def run(context: JobContext) -> None:
    """Expire abandoned uploads with their bytes, and old events."""
    with context.writing() as session:
        uploads.expire(session, context.settings)
    with context.finishing() as session:
        events.forget_before(session, now() - EVENTS_KEPT)
