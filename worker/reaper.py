"""In every worker: say that it lives, find jobs that lost theirs, ring again for forgotten ones."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Collection
from contextlib import suppress

from backend import wiring
from backend.exchange.webhooks import service as webhooks
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs import workers
from backend.jobs.repeats import IdempotencyKey
from backend.kit.db.base import now
from backend.kit.db.session import Database
from backend.settings import Settings

log = logging.getLogger(__name__)
POOL_LOST = 70
"""Exit status of a worker whose pool is no good any more."""


class Reaper(threading.Thread):
    """A daemon thread of the worker's parent process; stops with it, or when told."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        name: str,
        queues: str,
        pool: Callable[[], Collection[int]] | None = None,
    ) -> None:
        """Watch for this worker. `pool` returns the ids of its pool's processes, see guard_pool."""
        super().__init__(name="reaper", daemon=True)
        # whichever worker notices a lost job takes it back
        wiring.listen()
        self.database = database
        self.settings = settings
        self.worker, self.queues = name, queues
        self.done = threading.Event()
        self.pool = pool
        self.first_pool: frozenset[int] = frozenset()

    def run(self) -> None:
        while True:
            self.look()
            self.guard_pool()
            if self.done.wait(self.settings.reaper_seconds):
                return

    def look(self) -> None:
        """Look once. Each step has its own transaction: what fails in one stops no other."""
        for step in (
            self.beat,
            self.ring_again,
            self.order_cleanup,
            self.order_deliveries,
            self.recover,
        ):
            try:
                step()
            except Exception:
                # a database that is away for a while must not end the watch
                log.exception("the reaper could not %s; it tries again", step.__name__)

    def guard_pool(self) -> None:
        """End this worker when its pool's process is gone: whoever started it starts it again.

        Celery's blocking pool (brokers without an event loop, as the embedded one) puts another
        process in the place of one that was killed, for its memory or for hanging, and never gives
        it work: a worker that beats and does nothing.
        """
        pool = self.pool
        if pool is None:
            return
        now_there = frozenset(pool())
        self.first_pool = self.first_pool or now_there
        if self.first_pool <= now_there or self.pool is None or self.done.is_set():
            return
        log.error("a pool process of this worker is gone; the worker ends, to be started again")
        for process in now_there:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        os._exit(POOL_LOST)

    def beat(self) -> None:
        with self.database.writing() as session:
            workers.beat(session, self.worker, self.queues)

    def ring_again(self) -> None:
        with self.database.writing() as session:
            jobs.ring_again(session, self.settings)

    def order_cleanup(self) -> None:
        # the key makes it one an hour, however many workers look; people's keys look otherwise
        key = IdempotencyKey(f"cleanup {now():%Y-%m-%dT%H}")
        with self.database.writing() as session:
            jobs.enqueue(
                session, self.settings, JobKind.CLEANUP, "installation", idempotency_key=key
            )

    def order_deliveries(self) -> None:
        with self.database.reading() as session:
            due = webhooks.due(session)
        if due:
            with self.database.writing() as session:
                jobs.enqueue_all(session, self.settings, JobKind.DELIVER, due)

    def recover(self) -> None:
        """Take every lost job back; one that can't be leaves the others alone."""
        with self.database.reading() as session:
            lost = jobs.lost(session)
        for job_id in lost:
            try:
                with self.database.writing() as session:
                    jobs.recover(session, self.settings, job_id)
            except Exception:
                log.exception("job %s lost its worker and could not be taken back", job_id)

    def stop(self) -> None:
        self.done.set()
        with self.database.writing() as session:
            workers.leave(session, self.worker)
