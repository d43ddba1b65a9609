"""The embedded broker's folder: half a message harms nobody, and none is ever seen."""

import json
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.bell import celery_app, ring
from backend.jobs.tables import JobState
from backend.kit.db.base import new_id
from backend.kit.db.session import Database
from backend.settings import Settings, get_settings
from tests.worker.test_deadlines import SQLITE, job, until, worker
from tests.worker.test_jobs import bells

pytestmark = SQLITE
DAMAGED = {
    "empty": b"",
    "half": b'{"body": "W1siMDE5YjU',
    "bytes": b"\xff\xfe\x00",
    "a list": b"[]",
    "no parts": b"{}",
    "no tag": b'{"body": "", "headers": {}, "properties": null}',
}


@contextmanager
def channel(settings: Settings) -> Iterator[Any]:
    with celery_app(settings).connection_for_write() as connection:
        yield connection.default_channel


def test_what_is_no_message_ends_no_worker(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty one, met while it was written, once did; and its job waited for the second bell."""
    monkeypatch.setenv("MEMBRANA_RING_AGAIN_SECONDS", "3600")
    get_settings.cache_clear()
    settings = get_settings()
    celery_app(settings)
    for number, content in enumerate(DAMAGED.values()):
        # names that sort before all others
        (settings.message_folder / f"0{number}.cpu.msg").write_bytes(content)
    (settings.broker_folder / "control" / "cpu.exchange").write_bytes(b"")
    (settings.broker_folder / "control" / "celery.pidbox.exchange").write_bytes(b'[["", "", "c')
    with database.writing() as session:
        first = jobs.enqueue(session, settings, JobKind.CLEANUP, "first").id
    with worker(settings.data) as child:
        until(lambda: job(database, first).state == JobState.SUCCEEDED, "the job behind them")
        with database.writing() as session:
            second = jobs.enqueue(session, settings, JobKind.CLEANUP, "second").id
        until(lambda: job(database, second).state == JobState.SUCCEEDED, "the worker to work on")
        assert child.deaths == 0
    assert not [each for each in settings.message_folder.iterdir() if each.name.startswith("0")]


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_message_leaves_the_one_behind_it(settings: Settings, content: bytes) -> None:
    job_id = new_id()
    ring(settings, job_id, JobKind.CLEANUP)
    (settings.message_folder / "00.cpu.msg").write_bytes(content)
    with channel(settings) as there:
        assert there._get("cpu")["headers"]["argsrepr"] == f"['{job_id}']"
        with pytest.raises(Empty):
            there._get("cpu")
    assert list(settings.message_folder.iterdir()) == []


def test_nobody_sees_half_a_message(settings: Settings) -> None:  # noqa: C901 - three kinds of thread
    count, writers = 60, 3
    done = threading.Event()
    broken: list[str] = []
    taken: list[int] = []

    def look() -> None:
        """Look into the folder as another worker does, and take nothing."""
        while not done.is_set():
            for path in settings.message_folder.glob("*.msg"):
                try:
                    json.loads(path.read_bytes())
                except FileNotFoundError:
                    continue
                except ValueError as error:
                    broken.append(f"{path.name}: {error}")

    def write(writer: int) -> None:
        with channel(settings) as there:
            for number in range(count):
                parts = {"body": "x" * 200_000, "headers": {"number": writer * count + number}}
                there._put("cpu", {**parts, "properties": {"delivery_tag": new_id()}})

    def take() -> None:
        with channel(settings) as there:
            while len(taken) < count * writers:
                try:
                    taken.append(there._get("cpu")["headers"]["number"])
                except Empty:
                    done.wait(0.01)

    celery_app(settings)
    looking = threading.Thread(target=look)
    looking.start()
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    threads += [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    looking.join()
    assert broken == []
    assert sorted(taken) == list(range(count * writers)), "each once, and none lost"


def test_a_disk_that_is_full_leaves_no_half_message(settings: Settings) -> None:
    """The bell is only a bell: the row is there, and the reaper rings again."""
    job_id = new_id()
    ring(settings, job_id, JobKind.CLEANUP)
    before = set(settings.message_folder.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        ring(settings, job_id, JobKind.CLEANUP)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert set(settings.message_folder.iterdir()) == before
    assert bells(settings, job_id) == 1


def test_tables_of_queues_are_whole_whoever_writes_them(settings: Settings) -> None:
    names = [f"queue-{number}" for number in range(12)]

    def bind(name: str) -> None:
        with channel(settings) as there:
            there._queue_bind("many", name, "", name)
            assert name in {each.queue for each in there.get_table("many")}

    threads = [threading.Thread(target=bind, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with channel(settings) as there:
        assert {each.queue for each in there.get_table("many")} == set(names)
        there._delete(names[0], "many", names[0], "")
        assert {each.queue for each in there.get_table("many")} == set(names[1:])
    table: Path = settings.broker_folder / "control" / "many.exchange"
    table.write_bytes(table.read_bytes()[:20])
    with channel(settings) as there:
        assert there.get_table("many") == []
        there._queue_bind("many", "again", "", "again")
        assert [each.queue for each in there.get_table("many")] == ["again"]
