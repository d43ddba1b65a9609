"""The stream of events to the browser (server-sent events)."""

import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from backend.events.feed import Feed, Position, present
from backend.kit.db.session import Database
from backend.kit.dependencies import CurrentDatabase
from backend.kit.errors import Forbidden, Unauthenticated
from backend.people.users.guards import Viewer, caller

router = APIRouter(tags=["events"])
WAKE_SECONDS = 0.5
"""So often it is looked whether the browser is still there: no SQL."""
QUIET_WAKES = 30
"""A comment line after so many without news keeps proxies from hanging up."""
LIFE_SECONDS = 600.0
"""The browser comes back by itself and shows again that it may."""
ASKED_SECONDS = 15.0
"""So often it is asked again whether who listens still may: an account can be locked meanwhile."""


@router.get("/events", response_class=StreamingResponse)
def stream(
    request: Request,
    database: CurrentDatabase,
    _: Viewer,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """Follow what happens: job progress, slide states, new proposals, rounds."""
    return StreamingResponse(
        follow(
            request,
            request.app.state.feed,
            start_of(database, last_event_id or ""),
            partial(is_let_in, request, database),
        ),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def start_of(database: Database, last_event_id: str) -> Position:
    """Return where a browser goes on; one that is new, or ahead of the database, begins now."""
    newest = present(database)
    position = Position.from_text(last_event_id)
    return position if position is not None and position.last <= newest.last else newest


def is_let_in(request: Request, database: Database) -> bool:
    """Say whether the request's token or session still opens the service."""
    try:
        caller(request, database)
    except (Unauthenticated, Forbidden):
        return False
    return True


async def follow(
    request: Request, feed: Feed, start: Position, is_welcome: Callable[[], bool]
) -> AsyncIterator[str]:
    """Yield events newer than `start` until the browser goes away or the stream is old.

    It ends, too, when who listens is no longer welcome.
    """
    end = time.monotonic() + LIFE_SECONDS
    asked = time.monotonic()
    quiet = 0
    yield "retry: 2000\n\n"
    async with feed.subscribed(start) as subscriber:
        while (
            not subscriber.ended and time.monotonic() < end and not await request.is_disconnected()
        ):
            if time.monotonic() >= asked + ASKED_SECONDS:
                if not await run_in_threadpool(is_welcome):
                    return
                asked = time.monotonic()
            fresh = await subscriber.fresh(WAKE_SECONDS)
            for line in fresh:
                yield line
            quiet = 0 if fresh else quiet + 1
            if quiet == QUIET_WAKES:
                yield ": still here\n\n"
                quiet = 0
