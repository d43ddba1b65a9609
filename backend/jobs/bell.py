"""The bell: one Celery message that says "look at this job". It carries no truth.

Jobs are sent by the task's name, so the API never imports a handler. Celery itself is loaded
with the first job: it is a tenth of what the API needs to start.
"""

import logging
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from backend.job_kinds import APART, HOURS, QUEUE_OF, STARTING_SECONDS, JobKind, Queue
from backend.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

TASK = "membrana.run_job"
FILES = "backend.jobs.files:Transport"
"""What stands behind filesystem://, by name: loaded when it is first used."""
log = logging.getLogger(__name__)
LOADING = threading.Lock()
"""Celery and kombu put their modules together while they are imported: another thread that asks for
them meanwhile takes half of one."""


def celery_app(settings: Settings) -> "Celery":
    """Make the Celery application that API and workers share; tasks are known by name."""
    from celery import Celery
    from kombu.transport import TRANSPORT_ALIASES

    TRANSPORT_ALIASES["filesystem"] = FILES
    app = Celery("membrana", broker=settings.celery_broker)
    app.conf.update(
        task_default_queue=Queue.CPU,
        task_ignore_result=True,
        task_acks_late=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=2,
    )
    if settings.celery_broker.startswith("filesystem"):
        app.conf.broker_transport_options = filesystem_folders(settings)
    return app


def filesystem_folders(settings: Settings) -> dict[str, Any]:
    """Make the folders of Celery's filesystem transport and return its options."""
    messages = settings.message_folder.resolve()
    control = settings.broker_folder.resolve() / "control"
    for path in (messages, control):
        path.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        # a viewport should not wait the default second before anyone looks
        "polling_interval": 0.2,
    }


def sender(settings: Settings) -> "Celery":
    """Return what sends this process's messages; the first thread to ask makes it for all."""
    with LOADING:
        return loaded_sender(settings)


@lru_cache
def loaded_sender(settings: Settings) -> "Celery":
    app = celery_app(settings)
    # what Celery makes with its first message, and not safely in two threads at once
    _ = app.amqp.queues, app.amqp.router, app.producer_pool
    return app


def longest(kind: JobKind, settings: Settings) -> float:
    """Return how many seconds one try of such a job may take."""
    return 3600 * settings.job_hours_by_kind.get(str(kind), HOURS[kind])


def ring(settings: Settings, job_id: str, kind: JobKind) -> None:
    """Tell a worker. A broker that fails is not an error: the reaper rings again.

    Whatever it fails by: the job is written, and who asked for it must not hear otherwise.

    Celery kills a pool process that hangs beyond the time limit, whatever it hangs in; before
    that the job's own watch has ended it if it could, and the lease is over when it is killed.
    """
    try:
        sender(settings).send_task(
            TASK,
            args=[job_id],
            queue=str(QUEUE_OF[kind]),
            retry=False,
            ignore_result=True,
            time_limit=longest(kind, settings)
            + settings.lease_seconds
            + (STARTING_SECONDS if kind in APART else 0),
        )
    except Exception as error:  # noqa: BLE001 - after the commit, nothing may become an error
        log.warning("the broker does not answer; job %s waits for the reaper: %s", job_id, error)
