"""Attempts at jobs that read what people sent: each in a process of its own, which may die.

Libraries that decode pictures are written in C; a hostile or damaged file can crash them, fill the
memory or keep them busy for ever. What then ends is that process: the worker writes down why, and
takes the next job.
"""

import logging
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from os import getpid, getppid

from filelock import FileLock, Timeout

from backend import wiring
from backend.job_kinds import APART, STARTING_SECONDS, JobKind
from backend.jobs import service as jobs
from backend.jobs.bell import longest, ring
from backend.jobs.tables import Job, JobState
from backend.kit.db.session import Database, get_database
from backend.logging import configure_logging
from backend.settings import Settings, get_settings
from backend.supervision import die_with
from worker.context import stop_file
from worker.run import run_job

log = logging.getLogger(__name__)
LOOK_SECONDS = 0.2
CRASHED = {
    "code": "reader_crashed",
    "detail": (
        "The program that reads what was sent crashed on it, or needed more memory than it may "
        "have (MEMBRANA_PARSER_MEMORY_BYTES). The file is damaged, or of a kind that can't be "
        "read here. Export it again, and try that."
    ),
}


def run(job_id: str, settings: Settings) -> None:
    """Run a job, here or apart. An ingest waits for a place: others don't wait for ingests."""
    database = get_database(settings.sqlalchemy_url)
    with database.reading() as session:
        job = jobs.by_id(session, [job_id]).get(job_id)
    if job is None:
        return
    kind = job.kind
    if kind not in APART:
        run_job(job_id, settings)
    elif kind != JobKind.INGEST:
        run_apart(job_id, kind, database, settings)
    else:
        with place(settings) as is_free:
            if is_free:
                run_apart(job_id, kind, database, settings)
        if is_free:
            ring_next(database, settings)


def run_apart(job_id: str, kind: JobKind, database: Database, settings: Settings) -> None:
    """Run an attempt in another process, and write why it ended if it could not itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.attempt", job_id, str(getppid())],
        stdin=subprocess.DEVNULL,
        # killed with this one: an attempt that nobody watches would only lose its lease
        preexec_fn=partial(die_with, getpid()),  # noqa: PLW1509 - one thread, between two jobs
    )
    problem: jobs.Problem = CRASHED
    try:
        await_claim(job_id, process, database)
        # its own watch ends it before that, if it is not stuck in a library
        process.wait(longest(kind, settings) + settings.lease_seconds / 2)
    except subprocess.TimeoutExpired:
        problem = jobs.TIMED_OUT
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        log.warning("the attempt at job %s ended with %d", job_id, process.returncode)
        put_back(job_id, process.pid, problem, database, settings)


def await_claim(job_id: str, process: "subprocess.Popen[bytes]", database: Database) -> None:
    """Wait until a process has its job, or has ended: to begin does not count as work.

    Raise TimeoutExpired if it takes far too long.
    """
    end = time.monotonic() + STARTING_SECONDS
    while process.poll() is None:
        with database.reading() as session:
            job = jobs.by_id(session, [job_id]).get(job_id)
        if job is None or (job.owner or "").startswith(owner_of(process.pid)):
            return
        if time.monotonic() > end:
            raise subprocess.TimeoutExpired(process.args, STARTING_SECONDS)
        time.sleep(LOOK_SECONDS)


def owner_of(process_id: int) -> str:
    """Return how the owner of what a process runs begins (worker/run.py)."""
    return f"{socket.gethostname()}:{process_id}:"


def put_back(
    job_id: str, process_id: int, problem: jobs.Problem, database: Database, settings: Settings
) -> None:
    """Have a job whose attempt died tried again, or fail it; one that another has is theirs."""
    # the attempt listened, this process has not: it has only waited
    wiring.listen()
    with database.writing() as session:
        job = jobs.get(session, job_id)
        if job.state == JobState.RUNNING and (job.owner or "").startswith(owner_of(process_id)):
            jobs.put_back(session, settings, job, problem, now_if=Job.owner == job.owner)


@contextmanager
def place(settings: Settings) -> Iterator[bool]:
    """Hold one of this worker's places for ingests: one fewer than it has processes, if not one.

    False if all are taken. The kernel frees the place of a process that dies.
    """
    parent = stop_file(settings, getppid())
    for number in range(max(1, settings.processes_of_cpu - 1)):
        try:
            with FileLock(parent.with_suffix(f".ingest{number}"), timeout=0):
                yield True
                return
        except Timeout:
            continue
    yield False


def ring_next(database: Database, settings: Settings) -> None:
    """Ring for the ingest that has waited longest: who came for it before found no place."""
    with database.reading() as session:
        waiting = jobs.longest_queued(session, JobKind.INGEST)
    if waiting is not None:
        ring(settings, waiting, JobKind.INGEST)


def main() -> None:
    """Run one attempt: `python -m worker.attempt JOB WORKER`, the worker's process id."""
    job_id, worker = sys.argv[1:]
    settings = get_settings()
    configure_logging(logging.WARNING)
    # what a handler of the parent's would do at Ctrl-C is done there
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    most = settings.parser_memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    run_job(job_id, settings, worker=int(worker))


if __name__ == "__main__":
    main()
