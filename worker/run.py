"""Run one job: claim it, let its handler work under a lease, write how it ended."""

import logging
import os
import socket

from backend import wiring
from backend.jobs import service as jobs
from backend.jobs.service import LeaseLost
from backend.jobs.tables import Job, JobState
from backend.kit.db.base import new_id
from backend.kit.db.session import get_database
from backend.kit.errors import MembranaError, NoSpace, is_disk_full
from backend.settings import Settings
from backend.slides.patches import installed_grid
from worker.context import Cancelled, JobContext, ShuttingDown, TimedOut
from worker.handlers import handler_of

log = logging.getLogger(__name__)
STUMBLED = {
    "code": "internal_error",
    "detail": "This failed for a reason that is ours; the server's log has the details.",
}
FULL = {
    "code": NoSpace.code,
    "detail": (
        "The server's disk filled up, so this could not be finished. Delete slides that are no "
        "longer needed, or ask the administrator for a larger disk; then ask for it again."
    ),
}
NO_MEMORY = {
    "code": "out_of_memory",
    "detail": "This needs more memory than the installation gives to one job, so it was ended.",
}


def run_job(job_id: str, settings: Settings, *, worker: int | None = None) -> None:
    """Run the job if it is still queued; a doubled or late message finds nothing to do.

    worker: process id of the worker, if it is not this process's parent.
    """
    wiring.listen()
    database = get_database(settings.sqlalchemy_url)
    owner = f"{socket.gethostname()}:{os.getpid()}:{new_id()}"
    with database.writing() as session:
        job = jobs.claim(session, job_id, owner=owner, lease_seconds=settings.lease_seconds)
    if job is None:
        return
    context = JobContext(job, owner=owner, database=database, settings=settings, worker=worker)
    try:
        with context.reading() as session:
            installed_grid.require(session, settings.analysis_mpp)
        with context.heartbeat():
            handler_of(job.kind)(context)
            if not context.finished:
                with context.finishing():
                    pass
    except LeaseLost:
        log.warning("job %s went to another worker; nothing of this attempt is kept", job_id)
    except ShuttingDown:
        with database.writing() as session:
            jobs.hand_over(session, settings, job_id, owner=owner)
    except TimedOut:
        put_back(context, jobs.TIMED_OUT)
    except Cancelled:
        end(context, jobs.CANCELLED, JobState.CANCELLED)
    except MembranaError as error:
        log.warning("job %s failed: %s", job_id, error.problem_code)
        end(context, error.problem(), JobState.FAILED)
    except MemoryError:
        log.warning("job %s needed more memory than there is", job_id)
        put_back(context, NO_MEMORY)
    except Exception as error:
        log.exception("job %s stumbled at attempt %d", job_id, job.attempts)
        put_back(context, FULL if is_disk_full(error) else STUMBLED)


def put_back(context: JobContext, problem: jobs.Problem) -> None:
    """Have it tried again, or fail it; if it went to another worker, it is theirs."""
    with context.database.writing() as session:
        mine = session.get_one(Job, context.job_id)
        jobs.put_back(session, context.settings, mine, problem, now_if=Job.owner == context.owner)


def end(context: JobContext, problem: jobs.Problem, state: JobState) -> None:
    try:
        with context.database.writing() as session:
            jobs.fail(
                session,
                context.settings,
                context.job_id,
                owner=context.owner,
                problem=problem,
                state=state,
            )
    except LeaseLost:
        log.warning("job %s went to another worker before it could fail", context.job_id)
