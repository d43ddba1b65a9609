"""In every worker: say that it lives, find jobs that lost theirs, ring again for forgotten ones."""

import logging
import threading

from sqlalchemy import delete

from backend.db.base import now
from backend.db.session import Database
from backend.jobs import service as jobs
from backend.jobs.tables import JobKind, WorkerHeartbeat
from backend.label_issues import service as _label_issues
from backend.rounds import service as _rounds
from backend.settings import Settings
from backend.slides import service as _slides

# loaded so that their jobs' failures are settled by whichever worker notices them
__all__ = ["Reaper", "_label_issues", "_rounds", "_slides"]

log = logging.getLogger(__name__)


class Reaper(threading.Thread):
    """A daemon thread of the worker's parent process; stops with it, or when told."""

    def __init__(self, database: Database, settings: Settings, *, name: str, queues: str) -> None:
        super().__init__(name="reaper", daemon=True)
        self.database = database
        self.settings = settings
        self.worker = WorkerHeartbeat(name=name, queues=queues)
        self.done = threading.Event()

    def run(self) -> None:
        while True:
            try:
                self.look()
            except Exception:
                # a database that is away for a while must not end the watch
                log.exception("the reaper could not look; it tries again")
            if self.done.wait(self.settings.reaper_seconds):
                return

    def look(self) -> None:
        with self.database.writing() as session:
            session.merge(
                WorkerHeartbeat(name=self.worker.name, queues=self.worker.queues, seen_at=now())
            )
            jobs.recover(session, self.settings)
            # the key makes it one an hour, however many workers look
            jobs.enqueue(
                session,
                JobKind.CLEANUP,
                "installation",
                idempotency_key=f"cleanup {now():%Y-%m-%dT%H}",
            )

    def stop(self) -> None:
        self.done.set()
        with self.database.writing() as session:
            session.execute(delete(WorkerHeartbeat).where(WorkerHeartbeat.name == self.worker.name))
