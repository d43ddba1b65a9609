"""Housekeeping: what has passed its time is forgotten."""

from datetime import timedelta

from backend.db.base import now
from backend.events import service as events
from backend.label_issues import course as audits
from backend.rounds import course
from backend.storage import pyramids
from backend.uploads import service as uploads
from worker.context import JobContext

EVENTS_KEPT = timedelta(days=7)
DRAFTS_KEPT = timedelta(days=1)
"""A draft that is being written is seconds old."""


def run(context: JobContext) -> None:
    """Expire abandoned uploads with their bytes, what killed processes left, and old events."""
    with context.writing() as session:
        uploads.expire(session, context.settings)
    with context.reading() as session:
        course.forget_ended_trainings(session, context.settings)
        audits.forget_ended(session, context.settings)
    pyramids.forget_drafts(context.settings.pyramid_folder, now() - DRAFTS_KEPT)
    with context.finishing() as session:
        events.forget_before(session, now() - EVENTS_KEPT)
