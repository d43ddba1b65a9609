"""Housekeeping: what has passed its time is forgotten."""

import logging
from datetime import timedelta

from filelock import FileLock, Timeout

from backend.blob_names import blob_names
from backend.exchange.webhooks import service as webhooks
from backend.kit.db.base import now
from backend.kit.events import service as events
from backend.kit.storage import pyramids, sweeping
from backend.learning.label_issues import lifecycle as audits
from backend.learning.rounds import lifecycle as trainings
from backend.slides.catalogue import leftovers
from backend.slides.uploads import service as uploads
from worker.context import JobContext

log = logging.getLogger(__name__)
EVENTS_KEPT = timedelta(days=7)
DRAFTS_KEPT = timedelta(days=1)
"""A draft that is being written is seconds old; a blob has its row within minutes, and hours at
the most where a job names it at its end."""


def run(context: JobContext) -> None:
    """Expire abandoned uploads with their bytes, what killed processes left, and old events."""
    with context.writing() as session:
        uploads.expire(session, context.settings)
    with context.reading() as session:
        trainings.forget_ended(session, context.settings)
        audits.forget_ended(session, context.settings)
    try:
        with FileLock(sweeping.pause_file(context.settings.data), timeout=0):
            sweep_files(context)
    except Timeout:
        log.info("nothing is swept while a backup is made")
    with context.finishing() as session:
        events.forget_before(session, now() - EVENTS_KEPT)
        webhooks.forget_ended(session, now() - webhooks.KEPT)


def sweep_files(context: JobContext) -> None:
    """Delete old files that no row stands for."""
    settings, before = context.settings, now() - DRAFTS_KEPT
    pyramids.forget_drafts(settings.pyramid_folder, before)
    folders = (settings.slide_folder, settings.pyramid_folder, settings.blob_folder)
    for folder in (*folders, settings.message_folder):
        sweeping.forget_hidden(folder, before)
    context.check()
    for sha256 in leftovers.unknown(context.database, settings, before):
        with context.writing() as session:
            gone = leftovers.set_aside(session, sha256, settings)
        for path in gone:
            sweeping.remove(path)

    def named() -> set[str]:
        with context.reading() as session:
            return blob_names(session)

    count = sweeping.sweep(context.blobs, named, before)
    sweeping.forget_hidden(settings.blob_folder, before, "??/.*")
    if count:
        log.info("%d blobs that nothing named any more are gone", count)
