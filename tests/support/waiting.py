"""Nobody is kept waiting for a disk: not who writes next, not the requests on the event loop.

On SQLite nobody else can write until a writing transaction is over, and while the event loop waits
for a disk or for SQL every request does. `Watch` sees, while a test drives the service and its
workers, every file of the data folder that is opened, every pyramid and slide that is read and
every statement: in a writing transaction the first two are faults, on the event loop all are. A
name and a stack of each are kept; `check` fails the test with them.
"""

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.kit.storage.pyramids import Pyramid
from backend.slides.reading.reader import OpenSlideReader

TESTS = Path(__file__).parent.parent
REQUEST: ContextVar[object | None] = ContextVar("request", default=None)
WRITING: dict[int, object] = {}
"""Who holds each writing connection: a request, whichever threads serve it, or else a thread."""
PIXELS = (
    (Pyramid, ("__init__", "read", "write_shard", "build_coarse_levels")),
    (OpenSlideReader, ("__init__", "read")),
)
DATABASE = "membrana.db"
PRODUCT = ("backend/", "worker/")


class Named:
    """Around the application: the threads that serve one request are known to be of one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        REQUEST.set(object())
        await self.app(scope, receive, send)


def holder() -> object:
    return REQUEST.get() or threading.get_ident()


@event.listens_for(Engine, "begin")
def begun(connection: Connection) -> None:
    if connection.get_execution_options().get("writes"):
        WRITING[id(connection)] = holder()


@event.listens_for(Engine, "commit")
@event.listens_for(Engine, "rollback")
def ended(connection: Connection) -> None:
    WRITING.pop(id(connection), None)


@event.listens_for(Engine, "before_cursor_execute")
def executed(*arguments: Any) -> None:
    if on_the_loop():
        for watch in WATCHES:
            watch.note(f"On the event loop: {arguments[2]}")


def on_the_loop() -> bool:
    """Say whether a request of the service is served by the event loop itself here."""
    return REQUEST.get() is not None and asyncio._get_running_loop() is not None


def frames() -> list[traceback.FrameSummary]:
    """Return the stack as far as it is ours."""
    ours = str(TESTS.parent)
    return [
        frame
        for frame in traceback.extract_stack()
        if frame.filename.startswith(ours)
        and ".venv" not in frame.filename
        and frame.filename != __file__
    ]


class Watch:
    """Who kept others waiting while one test ran."""

    def __init__(self, data: Path) -> None:
        self.data = f"{data.resolve()}{os.sep}"
        self.complaints: list[str] = []

    def look(self, what: str) -> None:
        """Note what touches a disk where it must not."""
        if on_the_loop():
            self.note(f"On the event loop: {what}")
        if holder() not in WRITING.values():
            return
        stack = {str(Path(each.filename).relative_to(TESTS.parent)) for each in frames()}
        # a test may keep others waiting: there are none
        if any(file.startswith(PRODUCT) and "storage" not in file for file in stack):
            self.note(f"In a writing transaction: {what}")

    def note(self, what: str) -> None:
        self.complaints.append(f"{what}\n{''.join(traceback.format_list(frames()[-8:]))}")

    def opened(self, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike) or not (WRITING or on_the_loop()):
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - no look at the disk in a hook
        if name.startswith(self.data) and DATABASE not in name:
            self.look(f"{name.removeprefix(self.data)} was opened")

    def check(self) -> None:
        """Fail if anybody was kept waiting."""
        if self.complaints:
            pytest.fail(
                f"{len(self.complaints)} times others had to wait; the first: {self.complaints[0]}",
                pytrace=False,
            )


WATCHES: list[Watch] = []


def audited(name: str, arguments: tuple[Any, ...]) -> None:
    if name == "open" and WATCHES:
        for watch in WATCHES:
            watch.opened(arguments[0])


sys.addaudithook(audited)


def looked_at(kind: type[Any], name: str) -> Callable[..., Any]:
    """Return a method that is as it was and tells the watches of its call."""
    method: Callable[..., Any] = getattr(kind, name)

    @wraps(method)
    def watched_call(*arguments: Any, **named: Any) -> Any:
        for watch in WATCHES:
            watch.look(f"{kind.__name__}.{name} was called")
        return method(*arguments, **named)

    return watched_call


@contextmanager
def watching(data: Path) -> Iterator[Watch]:
    """Watch this process's reading of a data folder."""
    watch = Watch(data)
    with pytest.MonkeyPatch.context() as patch:
        for kind, names in PIXELS:
            for name in names:
                patch.setattr(kind, name, looked_at(kind, name))
        WATCHES.append(watch)
        try:
            yield watch
        finally:
            WATCHES.remove(watch)
