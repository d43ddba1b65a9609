"""What hangs is ended: a real worker, a file that never answers, and a limit of seconds."""

import io
import os
import signal
import time
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError
from sqlalchemy import update

from backend.job_kinds import HOURS, JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job, JobState, WorkerHeartbeat
from backend.kit.db.base import now
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings, get_settings
from backend.slides.catalogue.tables import Slide, SlideState
from backend.supervision import Child
from tests.e2e.conftest import redis_url
from tests.support.supervised import worker
from worker.context import JobContext, TimedOut
from worker.reaper import Reaper

__all__ = ["redis_url"]
SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
PATIENCE = 180.0


def until(look: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.2)


def job(database: Database, job_id: str) -> Job:
    with database.reading() as session:
        return jobs.get(session, job_id)


def slide_that_hangs(database: Database, settings: Settings) -> str:
    """Add an unpacked MIRAX slide whose index is a pipe that nobody writes to."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("a.mrxs", b"")
        packed.writestr("a/Slidedat.ini", "[GENERAL]\n")
    sha256 = Blobs(settings.blob_folder).put(file.getvalue())
    folder = settings.slide_folder / sha256 / "a"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "Slidedat.ini")
    with database.writing() as session:
        slide = Slide(name="a.zip", sha256=sha256, byte_size=len(file.getvalue()))
        session.add(slide)
        session.flush()
        jobs.enqueue(session, settings, JobKind.INGEST, slide.id)
        return slide.id


@SQLITE
@pytest.mark.parametrize("broker", ["files", "redis"])
def test_a_hung_job_fails_in_words_and_its_worker_works_on(
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    broker: str,
) -> None:
    if broker == "redis":
        monkeypatch.setenv("MEMBRANA_BROKER_URL", request.getfixturevalue("redis_url"))
    for name, value in (
        ("JOB_HOURS", "ingest=0.001"),
        ("LEASE_SECONDS", "3"),
        ("HEARTBEAT_SECONDS", "0.5"),
        ("REAPER_SECONDS", "0.5"),
        ("RING_AGAIN_SECONDS", "2"),
        ("MAX_ATTEMPTS", "2"),
    ):
        monkeypatch.setenv(f"MEMBRANA_{name}", value)
    get_settings.cache_clear()
    settings = get_settings()
    slide_id = slide_that_hangs(database, settings)
    with database.reading() as session:
        [hung] = session.query(Job).all()
    with worker(settings.data) as child:
        until(lambda: job(database, hung.id).state == JobState.FAILED, "the hung job to fail")
        failed = job(database, hung.id)
        assert failed.attempts == 2
        assert failed.problem is not None
        assert failed.problem["code"] == "job_timed_out"
        with database.reading() as session:
            slide = session.get_one(Slide, slide_id)
            assert (slide.state, (slide.problem or {})["code"]) == (
                SlideState.FAILED,
                "job_timed_out",
            )
        with database.writing() as session:
            other = jobs.enqueue(session, settings, JobKind.CLEANUP, "another").id
        until(lambda: job(database, other).state == JobState.SUCCEEDED, "the worker to work on")
        with database.reading() as session:
            assert len(session.query(WorkerHeartbeat).all()) == 1
        assert child.deaths <= (2 if broker == "files" else 0), "one for each try at most"


def pool_of(child: Child) -> list[psutil.Process]:
    assert child.process is not None
    found = psutil.Process(child.process.pid).children()
    return [each for each in found if "spawn_main" in " ".join(each.cmdline())]


@SQLITE
def test_a_worker_whose_pool_process_was_killed_works_on(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel does when memory runs out; the worker used to beat on and do nothing."""
    for name, value in (("REAPER_SECONDS", "0.5"), ("RING_AGAIN_SECONDS", "2")):
        monkeypatch.setenv(f"MEMBRANA_{name}", value)
    get_settings.cache_clear()
    settings = get_settings()
    with database.writing() as session:
        first = jobs.enqueue(session, settings, JobKind.CLEANUP, "first").id
    with worker(settings.data) as child:
        until(lambda: job(database, first).state == JobState.SUCCEEDED, "the first job")
        victim, *_ = pool_of(child)
        victim.send_signal(signal.SIGKILL)
        with database.writing() as session:
            other = jobs.enqueue(session, settings, JobKind.CLEANUP, "other").id
        until(lambda: job(database, other).state == JobState.SUCCEEDED, "the next job")


def claimed(database: Database, settings: Settings) -> JobContext:
    with database.writing() as session:
        job_id = jobs.enqueue(session, settings, JobKind.CLEANUP, "a").id
        mine = jobs.claim(session, job_id, owner="me", lease_seconds=60)
    assert mine is not None
    return JobContext(mine, owner="me", database=database, settings=settings)


def test_a_handler_that_asks_leaves_by_itself(database: Database, settings: Settings) -> None:
    short = settings.model_copy(update={"job_hours": "cleanup=0.0001"})
    context = claimed(database, short)
    with pytest.raises(TimedOut), context.heartbeat():
        until(context.stopping, "the watch to say stop")
        context.check()


def test_a_lost_job_that_was_out_of_time_is_named_so(
    database: Database, settings: Settings
) -> None:
    context = claimed(database, settings)
    long_ago = now() - timedelta(hours=HOURS[JobKind.CLEANUP], seconds=1)
    with database.writing() as session:
        session.execute(
            update(Job).values(
                attempts=Job.max_attempts,
                started_at=long_ago,
                lease_until=now() - timedelta(seconds=1),
            )
        )
    Reaper(database, settings, name="test", queues="cpu").look()
    problem = job(database, context.job_id).problem
    assert problem is not None
    assert problem["code"] == "job_timed_out"


@pytest.mark.parametrize("wrong", ["ingestion=3", "ingest", "ingest=soon", "ingest=0", "train=inf"])
def test_hours_that_mean_nothing_are_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBRANA_JOB_HOURS", wrong)
    with pytest.raises(ValidationError):
        Settings()


def test_every_kind_of_job_has_its_limit() -> None:
    assert set(HOURS) == set(JobKind)
    assert Settings(job_hours="ingest=2, train=300").job_hours_by_kind == {
        "ingest": 2,
        "train": 300,
    }


@SQLITE
def test_workers_are_stopped_from_the_data_folder_alone(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in /tmp was anybody's to make: it told the worker of another user to shut down."""
    # it looks at its pool all the time, while that ends, too
    monkeypatch.setenv("MEMBRANA_REAPER_SECONDS", "0.05")
    with worker(settings.data) as child:

        def ready() -> bool:
            with database.reading() as session:
                return bool(session.query(WorkerHeartbeat).all())

        until(ready, "the worker")
        assert child.process is not None
        foreign = Path(f"/tmp/membrana-worker-{child.process.pid}.stop")
        foreign.touch()
        try:
            with database.writing() as session:
                job_id = jobs.enqueue(session, settings, JobKind.CLEANUP, "a").id
            until(lambda: job(database, job_id).state == JobState.SUCCEEDED, "the job")
            assert job(database, job_id).attempts == 1
        finally:
            foreign.unlink()
    assert not list((settings.data / "workers").iterdir())
    assert child.process is not None
    assert child.process.returncode == 0, "it ended in order"
