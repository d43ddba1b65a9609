"""Requests that compute for seconds take turns: some at a time, whoever else asks for a tile.

Who waits for a turn holds no thread; who leaves meanwhile is forgotten, and nothing is begun.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from backend.kit.errors import BadRequest, Unavailable

AT_ONCE = 2
MOST_WAITING = 64
LOOK_SECONDS = 0.5


class ClientGone(BadRequest):
    """Nobody is there to read this any more; it only ends the request."""

    code, title = "line_broken", "The line broke"


class Turns:
    """The places of one process, for one event loop."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(AT_ONCE)
        self.waiting = 0


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
