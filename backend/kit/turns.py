"""Requests that compute for seconds take turns: some at a time, whoever else asks for a tile.

Who waits for a turn holds no thread; who leaves meanwhile is forgotten, and nothing is begun.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from typing import Annotated
from weakref import WeakKeyDictionary

from anyio import to_thread
from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.kit.errors import BadRequest, Unavailable

AT_ONCE = 2
MOST_IN_FLIGHT = 20
"""Each may hold two connections, and a pool on PostgreSQL has 40."""
THREADS = 80
TILES_BESIDE_CORES = 2
"""Tiles made at a time beyond one a core: so many may wait for a disk."""
MOST_WAITING = 64
LOOK_SECONDS = 0.5


class ClientGone(BadRequest):
    """Nobody is there to read this any more; it only ends the request."""

    code, title = "line_broken", "The line broke"


class Turns:
    """The places of one process; an event loop has its own, and the service has one loop."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.waiting = 0
        self._of: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            WeakKeyDictionary()
        )

    @property
    def free(self) -> asyncio.Semaphore:
        return self._of.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self.places))


class InFlight:
    """Holds the number of requests at work below that of threads.

    A request that holds the database's lock goes on in another thread. Were all of them taken by
    requests that wait for the lock, nobody would move until the database gives up. Small bodies
    have come by then, and a place is free again when the answer begins, so that no slow client
    holds one. Bodies that are streamed, and liveness, need none.
    """

    def __init__(self, app: ASGIApp, free_of: re.Pattern[str]) -> None:
        self.app = app
        self.free_of = free_of
        self.turns = Turns(MOST_IN_FLIGHT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self.free_of.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        places = self.turns.free
        await places.acquire()
        held = True

        def give_back() -> None:
            nonlocal held
            if held:
                held = False
                places.release()

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                give_back()
            await send(message)

        try:
            await self.app(scope, receive, answered)
        finally:
            give_back()


def turns_for_tiles() -> Turns:
    """Return the places in which tiles are made: more than cores would only wait for each other."""
    return Turns(TILES_BESIDE_CORES + (os.cpu_count() or 1))


def hold_threads() -> None:
    """Give the process as many threads as requests at work, and streamed bodies, may need."""
    to_thread.current_default_thread_limiter().total_tokens = THREADS


async def in_turn(request: Request) -> AsyncIterator[None]:
    """Hold a place while the request works. Raise ClientGone, or Unavailable in a long line."""
    turns: Turns = request.app.state.turns
    if turns.waiting >= MOST_WAITING:
        raise Unavailable(
            "Too much of this is asked for at once: try again soon.",
            code="too_busy",
            headers={"Retry-After": "5"},
        )
    turns.waiting += 1
    try:
        await place(request, turns.free)
    finally:
        turns.waiting -= 1
    try:
        yield
    finally:
        turns.free.release()


async def place(request: Request, free: asyncio.Semaphore) -> None:
    while True:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await free.acquire()
        except TimeoutError:
            if await request.is_disconnected():
                raise ClientGone("The request ended while it waited for its turn.") from None
        else:
            return


InTurn = Annotated[None, Depends(in_turn, scope="function")]
