"""What a handler is given: its job, fenced transactions, progress, and the word to stop."""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.orm import Session

from backend.jobs import service as jobs
from backend.jobs.bell import longest
from backend.jobs.service import LeaseLost
from backend.jobs.tables import Job
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings

log = logging.getLogger(__name__)
PROGRESS_SECONDS = 1.0
POLL_SECONDS = 1.0


class Cancelled(Exception):
    """Somebody asked for the job to be cancelled."""


class ShuttingDown(Exception):
    """The worker was asked to stop: the job goes back to the queue untried."""


class TimedOut(Exception):
    """The attempt took longer than its kind of job may."""


def stop_file(settings: Settings, worker_pid: int) -> Path:
    """Return where a worker's parent tells its pool processes that it is shutting down.

    In the data folder, which nobody else may write to. Workers of several containers share it,
    and there every parent may be process 1: the host's name tells them apart.
    """
    return settings.data / "workers" / f"{socket.gethostname()}-{worker_pid}.stop"


class JobContext:
    """One attempt at one job by one owner."""

    def __init__(
        self,
        job: Job,
        *,
        owner: str,
        database: Database,
        settings: Settings,
        worker: int | None = None,
    ) -> None:
        """Work on a job. worker: process id of the worker, if it is not this process's parent."""
        self.job_id = job.id
        self.kind = job.kind
        self.subject = job.subject
        self.params = job.params
        self.attempt = job.attempts
        self.requested_by = job.requested_by
        self.owner = owner
        self.settings = settings
        self.database = database
        self.blobs = Blobs(settings.blob_folder)
        self.finished = False
        self._end: type[Exception] | None = None
        self._reported = 0.0
        self._parent = os.getppid()
        self._worker = worker or self._parent

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with self.database.reading() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Yield a transaction that holds the lease's row: who lost the lease writes nothing."""
        with self.database.writing() as session:
            self._renew(session)
            yield session

    @contextmanager
    def finishing(self) -> Iterator[Session]:
        """Yield the last transaction: the results' rows and the job's success, or neither."""
        with self.writing() as session:
            yield session
            jobs.succeed(session, self.job_id, owner=self.owner)
        self.finished = True

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell people how far it is, 0 to 1; written at most once a second."""
        if time.monotonic() - self._reported < PROGRESS_SECONDS:
            return
        self._reported = time.monotonic()
        with self.writing() as session:
            jobs.report(session, self.job_id, owner=self.owner, progress=fraction, message=message)

    def stopping(self) -> bool:
        """Say whether the handler should leave at its next safe point."""
        return self._end is not None

    def check(self) -> None:
        """Raise what ends this attempt: Cancelled, LeaseLost, ShuttingDown or TimedOut."""
        if self._end is not None:
            raise self._end

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Renew the lease from a thread while the handler works, and listen for the end."""
        done = threading.Event()
        thread = threading.Thread(target=self._beat, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat(self, done: threading.Event) -> None:
        renewed = time.monotonic()
        deadline = renewed + longest(self.kind, self.settings)
        stop = stop_file(self.settings, self._worker)
        while not done.wait(POLL_SECONDS):
            if time.monotonic() > deadline:
                # it ends itself at its next safe point; if it hangs, the lease runs out, and the
                # worker's parent ends this process (the bell's time limit)
                log.warning("job %s has run for longer than it may", self.job_id)
                self._end = self._end or TimedOut
                return
            if stop.exists() or os.getppid() != self._parent:
                self._end = self._end or ShuttingDown
            if time.monotonic() - renewed < self.settings.heartbeat_seconds:
                continue
            try:
                with self.database.writing() as session:
                    self._renew(session)
                renewed = time.monotonic()
            except LeaseLost:
                self._end = LeaseLost
                return
            except Exception:
                # the next beat tries again; if the database stays away the lease runs out,
                # and every transaction of the handler is fenced by it anyway
                log.exception("job %s could not renew its lease", self.job_id)

    def _renew(self, session: Session) -> None:
        if jobs.renew(
            session,
            self.job_id,
            owner=self.owner,
            lease_seconds=self.settings.lease_seconds,
        ):
            self._end = self._end or Cancelled
