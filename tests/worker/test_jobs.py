"""The job protocol on both engines: who wins, who loses the lease, what is tried again."""

import base64
import json
import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.repeats import IdempotencyKey
from backend.jobs.tables import Job, JobState, WorkerHeartbeat
from backend.kit.db.base import new_id, now
from backend.kit.db.session import Database
from backend.kit.errors import Conflict
from backend.kit.events.tables import Event
from backend.people.audit import service as audit
from backend.people.audit.tables import AuditEntry
from backend.settings import Settings, get_settings
from worker.context import Cancelled, JobContext
from worker.reaper import Reaper
from worker.run import run_job


def queue(database: Database, subject: str = "a", **more: object) -> str:
    with database.writing() as session:
        return jobs.enqueue(session, get_settings(), JobKind.CLEANUP, subject, **more).id


def claim(database: Database, job_id: str, settings: Settings, owner: str = "me") -> JobContext:
    with database.writing() as session:
        job = jobs.claim(session, job_id, owner=owner, lease_seconds=settings.lease_seconds)
    assert job is not None
    return JobContext(job, owner=owner, database=database, settings=settings)


def row(database: Database, job_id: str) -> Job:
    with database.reading() as session:
        return jobs.get(session, job_id)


def expire_lease(database: Database, job_id: str) -> None:
    with database.writing() as session:
        session.execute(
            update(Job).where(Job.id == job_id).values(lease_until=now() - timedelta(seconds=1))
        )


def look(database: Database, settings: Settings) -> None:
    Reaper(database, settings, name="test", queues="cpu").look()


def test_a_second_request_for_the_same_work_is_the_same_job(database: Database) -> None:
    assert queue(database) == queue(database)
    assert queue(database, "b") != queue(database)


def test_an_idempotency_key_names_one_job_for_ever(database: Database, settings: Settings) -> None:
    key = IdempotencyKey("k", "of this request")
    first = queue(database, idempotency_key=key)
    with claim(database, first, settings).finishing():
        pass
    assert queue(database, idempotency_key=key) == first
    with pytest.raises(Conflict, match="Idempotency-Key"):
        queue(database, "another", idempotency_key=IdempotencyKey("k", "of another"))


def test_a_key_that_is_taken_stops_neither_heartbeat_nor_recovery(
    database: Database, settings: Settings
) -> None:
    """Somebody's job once held the key of this hour's cleanup; then no job was ever recovered."""
    taken = IdempotencyKey(f"cleanup {now():%Y-%m-%dT%H}", "of a person")
    lost = queue(database, idempotency_key=taken)
    claim(database, lost, settings)
    expire_lease(database, lost)
    look(database, settings)
    assert row(database, lost).state == JobState.QUEUED
    with database.reading() as session:
        assert session.scalars(select(WorkerHeartbeat.name)).all() == ["test"]


def test_a_job_that_cannot_be_settled_leaves_the_others_alone(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(jobs.ON_FAILURE, JobKind.CLEANUP, stumble)
    last, other = queue(database, "a"), queue(database, "b")
    for job_id in (last, other):
        claim(database, job_id, settings)
        expire_lease(database, job_id)
    with database.writing() as session:
        session.execute(update(Job).where(Job.id == last).values(attempts=settings.max_attempts))
    look(database, settings)
    assert row(database, last).state == JobState.RUNNING
    assert row(database, other).state == JobState.QUEUED


def test_of_many_workers_one_wins(database: Database, settings: Settings) -> None:
    job_id = queue(database)
    start = threading.Barrier(8)
    winners: list[str] = []

    def try_it(owner: str) -> None:
        start.wait()
        with database.writing() as session:
            if jobs.claim(session, job_id, owner=owner, lease_seconds=60) is not None:
                winners.append(owner)

    threads = [threading.Thread(target=try_it, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert row(database, job_id).owner == winners[0]
    assert row(database, job_id).attempts == 1


def test_who_lost_the_lease_writes_nothing(database: Database, settings: Settings) -> None:
    job_id = queue(database)
    slow = claim(database, job_id, settings, owner="slow")
    expire_lease(database, job_id)
    look(database, settings)
    quick = claim(database, job_id, settings, owner="quick")

    with pytest.raises(jobs.LeaseLost), slow.finishing() as session:
        audit.record(session, None, "wrong", "job", job_id)
    with quick.finishing() as session:
        audit.record(session, None, "right", "job", job_id)

    with database.reading() as session:
        assert list(session.scalars(select(AuditEntry.action))) == ["right"]
    assert row(database, job_id).state == JobState.SUCCEEDED


def test_results_and_success_are_one_transaction(database: Database, settings: Settings) -> None:
    job_id = queue(database)
    context = claim(database, job_id, settings)
    with pytest.raises(ZeroDivisionError), context.finishing() as session:
        audit.record(session, None, "half", "job", job_id)
        jobs.enqueue(session, settings, JobKind.CLEANUP, "half")
        session.flush()
        raise ZeroDivisionError
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 0
        assert session.scalars(select(Job.id)).all() == [job_id]
    assert row(database, job_id).state == JobState.RUNNING


def test_a_lost_job_is_tried_again_and_then_fails(database: Database, settings: Settings) -> None:
    job_id = queue(database)
    for attempt in range(1, settings.max_attempts + 1):
        assert row(database, job_id).state == JobState.QUEUED
        claim(database, job_id, settings)
        assert row(database, job_id).attempts == attempt
        look(database, settings)
        assert row(database, job_id).state == JobState.RUNNING, "the lease still holds"
        expire_lease(database, job_id)
        look(database, settings)
    failed = row(database, job_id)
    assert failed.state == JobState.FAILED
    assert failed.problem is not None
    assert failed.problem["code"] == "worker_lost"


def test_a_worker_that_shuts_down_costs_no_attempt(database: Database, settings: Settings) -> None:
    job_id = queue(database)
    claim(database, job_id, settings)
    with database.writing() as session:
        jobs.hand_over(session, settings, job_id, owner="me")
    job = row(database, job_id)
    assert (job.state, job.attempts, job.owner) == (JobState.QUEUED, 0, None)


def test_cancel_a_queued_job(database: Database, settings: Settings) -> None:
    job_id = queue(database)
    with database.writing() as session:
        jobs.cancel(session, settings, job_id)
    run_job(job_id, settings)
    assert row(database, job_id).state == JobState.CANCELLED
    assert row(database, job_id).attempts == 0


def test_cancel_a_running_job(database: Database, settings: Settings) -> None:
    job_id = queue(database)
    context = claim(database, job_id, settings)
    with database.writing() as session:
        jobs.cancel(session, settings, job_id)
    context.check()
    with context.writing():
        pass
    with pytest.raises(Cancelled):
        context.check()


def test_a_doubled_message_does_nothing_twice(database: Database, settings: Settings) -> None:
    job_id = queue(database)
    run_job(job_id, settings)
    first = row(database, job_id)
    run_job(job_id, settings)
    second = row(database, job_id)
    assert first.state == second.state == JobState.SUCCEEDED
    assert (first.attempts, first.finished_at) == (second.attempts, second.finished_at)


def test_a_message_for_a_job_that_never_was(database: Database, settings: Settings) -> None:
    run_job(new_id(), settings)


def test_every_move_is_an_event(database: Database, settings: Settings) -> None:
    job_id = queue(database)
    run_job(job_id, settings)
    with database.reading() as session:
        events = session.scalars(
            select(Event).where(Event.subject_id == job_id).order_by(Event.id)
        ).all()
    assert [event.data["state"] for event in events] == ["queued", "running", "succeeded"]


def test_a_forgotten_job_rings_again(database: Database, settings: Settings) -> None:
    job_id = queue(database)
    long_ago = now() - timedelta(seconds=2 * settings.ring_again_seconds)
    with database.writing() as session:
        session.execute(update(Job).where(Job.id == job_id).values(rung_at=long_ago))
    before = bells(settings, job_id)
    look(database, settings)
    assert bells(settings, job_id) == before + 1
    assert row(database, job_id).rung_at > long_ago


def bells(settings: Settings, job_id: str) -> int:
    """Count the broker's messages for a job; the filesystem transport keeps each as a file."""
    messages = (settings.broker_folder / "messages").iterdir()
    bodies = (json.loads(message.read_bytes())["body"] for message in messages)
    return sum(job_id in base64.b64decode(body).decode() for body in bodies)
