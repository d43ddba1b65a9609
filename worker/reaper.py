"""In every worker: say that it lives, find jobs that lost theirs, ring again for forgotten ones."""

import logging
import threading

from sqlalchemy import delete

from backend.db.base import now
from backend.db.session import Database
from backend.jobs import service as jobs
from backend.jobs.repeats import IdempotencyKey
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
            self.look()
            if self.done.wait(self.settings.reaper_seconds):
                return

    def look(self) -> None:
        """Look once. Each step has its own transaction: what fails in one stops no other."""
        for step in (self.beat, self.ring_again, self.order_cleanup, self.recover):
            try:
                step()
            except Exception:
                # a database that is away for a while must not end the watch
                log.exception("the reaper could not %s; it tries again", step.__name__)

    def beat(self) -> None:
        with self.database.writing() as session:
            session.merge(
                WorkerHeartbeat(name=self.worker.name, queues=self.worker.queues, seen_at=now())
            )

    def ring_again(self) -> None:
        with self.database.writing() as session:
            jobs.ring_again(session, self.settings)

    def order_cleanup(self) -> None:
        # the key makes it one an hour, however many workers look; people's keys look otherwise
        key = IdempotencyKey(f"cleanup {now():%Y-%m-%dT%H}")
        with self.database.writing() as session:
            jobs.enqueue(session, JobKind.CLEANUP, "installation", idempotency_key=key)

    def recover(self) -> None:
        """Take every lost job back; one that can't be settled leaves the others alone."""
        with self.database.reading() as session:
            lost = jobs.lost(session)
        for job_id in lost:
            try:
                with self.database.writing() as session:
                    jobs.recover(session, job_id)
            except Exception:
                log.exception("job %s lost its worker and could not be settled", job_id)

    def stop(self) -> None:
        self.done.set()
        with self.database.writing() as session:
            session.execute(delete(WorkerHeartbeat).where(WorkerHeartbeat.name == self.worker.name))
