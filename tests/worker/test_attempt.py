"""Readers that crash, fill the memory, or are many: the worker takes the next job."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job, JobState
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings, get_settings
from backend.slides.catalogue.tables import Slide, SlideState
from backend.supervision import Child
from tests.support.installation import until
from tests.support.supervised import worker

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("settings", ["sqlite"], indirect=True)]
SIDE = 4000
"""Pixels of a picture whose conversion takes seconds."""


@pytest.fixture
def quick(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in (("MAX_ATTEMPTS", "1"), ("RING_AGAIN_SECONDS", "600")):
        monkeypatch.setenv(f"MEMBRANA_{name}", value)
    get_settings.cache_clear()
    return get_settings()


def uploaded(database: Database, settings: Settings, folder: Path, side: int, seed: int) -> Slide:
    """Add a picture of noise, whose conversion costs what it costs."""
    noise = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    path = folder / f"{seed}.png"
    Image.fromarray(noise).save(path, compress_level=1)
    sha256 = Blobs(settings.blob_folder).put(path.read_bytes())
    with database.writing() as session:
        slide = Slide(name=path.name, sha256=sha256, byte_size=path.stat().st_size)
        session.add(slide)
        session.flush()
        jobs.enqueue(session, settings, JobKind.INGEST, slide.id)
        return slide


def attempts_below(child: Child) -> list[psutil.Process]:
    assert child.process is not None
    return [
        each
        for each in psutil.Process(child.process.pid).children(recursive=True)
        if "worker.attempt" in each.cmdline()
    ]


def slide_is(database: Database, slide: Slide, state: SlideState) -> Callable[[], bool]:
    def look() -> bool:
        with database.reading() as session:
            return session.get_one(Slide, slide.id).state == state

    return look


def job_is(database: Database, job_id: str, state: JobState) -> Callable[[], bool]:
    def look() -> bool:
        with database.reading() as session:
            return session.get_one(Job, job_id).state == state

    return look


def test_a_reader_that_crashes_fails_its_job_and_others_do_not_wait_for_it(
    database: Database, quick: Settings, tmp_path: Path
) -> None:
    first = uploaded(database, quick, tmp_path, SIDE, 1)
    second = uploaded(database, quick, tmp_path, 300, 2)
    with worker(quick.data) as child:
        [attempt] = until(lambda: attempts_below(child), "the first attempt")
        until(slide_is(database, first, SlideState.INGESTING), "it to begin")
        attempt.send_signal(signal.SIGSTOP)
        # one process reads slides; the other is there for whoever waits for something else
        with database.writing() as session:
            other = jobs.enqueue(session, quick, JobKind.CLEANUP, "another").id
        until(job_is(database, other, JobState.SUCCEEDED), "another job, beside an ingest")
        assert len(attempts_below(child)) == 1
        os.kill(attempt.pid, signal.SIGSEGV)
        attempt.send_signal(signal.SIGCONT)
        until(slide_is(database, first, SlideState.FAILED), "the crash to be told")
        with database.reading() as session:
            problem = session.get_one(Slide, first.id).problem or {}
        assert problem["code"] == "reader_crashed"
        # rung by the end of the first, and not by a watch that looks in ten minutes
        until(slide_is(database, second, SlideState.NEEDS_MPP), "the next slide to be read")
        assert child.deaths == 0
