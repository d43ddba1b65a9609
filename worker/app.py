"""The Celery application of the workers: one task, whose argument is a job's id.

Started as `celery -A worker.app worker -Q gpu`. The parent process watches (reaper); its pool
processes work. The parent never imports torch: handlers are loaded in the pool.
"""

import logging
import os
from typing import Any

from celery import signals

from backend.jobs.bell import TASK, celery_app
from backend.kit.db.session import get_database
from backend.logging import configure_logging
from backend.settings import get_settings
from worker import attempt
from worker.context import stop_file
from worker.reaper import Reaper
from worker.shipped_models import register_shipped

app = celery_app(get_settings())
app.conf.update(
    worker_pool="prefork",
    worker_pool_start_method="spawn",
    # unless the command that starts it says otherwise (backend/supervision.py)
    worker_concurrency=1,
    # a spawned process imports everything anew: in the usual four seconds a busy machine kills each
    # successor of a lost one before it has begun, for ever
    worker_proc_alive_timeout=120,
    # a pool process that grew is replaced between two jobs
    worker_max_memory_per_child=8_000_000,
    worker_send_task_events=False,
)


@signals.setup_logging.connect
def log_as_json(loglevel: int | None = None, **_: Any) -> None:
    """Log as the API does, in the parent and its pool: Celery leaves it to who takes the signal."""
    configure_logging(loglevel or logging.INFO)


@app.task(name=TASK)
def run(job_id: str) -> None:
    attempt.run(job_id, get_settings())


@signals.worker_ready.connect
def start_watch(sender: Any, **_: Any) -> None:
    settings = get_settings()
    stop = stop_file(settings, os.getpid())
    stop.parent.mkdir(parents=True, exist_ok=True)
    stop.unlink(missing_ok=True)
    database = get_database(settings.sqlalchemy_url)
    register_shipped(database, settings)
    queues = ",".join(sorted(app.amqp.queues.consume_from))
    blocking = not sender.connection.transport.implements.asynchronous
    app.reaper = Reaper(
        database,
        settings,
        name=sender.hostname,
        queues=queues,
        pool=(lambda: sender.pool.info["processes"]) if blocking else None,
    )
    app.reaper.start()


@signals.worker_shutting_down.connect
def tell_pool(**_: Any) -> None:
    stop = stop_file(get_settings(), os.getpid())
    stop.parent.mkdir(parents=True, exist_ok=True)
    stop.touch()
    if reaper := getattr(app, "reaper", None):
        # its processes end one by one now, and are meant to
        reaper.pool = None


@signals.worker_shutdown.connect
def end_watch(**_: Any) -> None:
    # a worker that could not start its pool has none
    if reaper := getattr(app, "reaper", None):
        reaper.stop()
    mine = stop_file(get_settings(), os.getpid())
    for file in mine.parent.glob(f"{mine.stem}.*"):
        file.unlink(missing_ok=True)
