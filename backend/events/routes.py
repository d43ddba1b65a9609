"""The stream of events to the browser (server-sent events)."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from backend.auth.guards import Viewer, browser_session, current_user
from backend.db.session import Database
from backend.dependencies import CurrentDatabase
from backend.errors import Unauthenticated
from backend.events import service as events
from backend.events.tables import Event

router = APIRouter(tags=["events"])
Pulse = tuple[int, int, int]
NUMBER = re.compile("[0-9]{1,18}")
POLL_SECONDS = 0.5
QUIET_POLLS = 30
"""A comment line after so many polls without news keeps proxies from hanging up."""
LIFE_SECONDS = 600.0
"""The browser comes back by itself and shows again that it may."""
ASKED_SECONDS = 15.0
"""So often it is asked again whether who listens still may: an account can be locked meanwhile."""
OVERLAP = 200
"""On PostgreSQL a smaller id may appear after a larger one: so many ids are looked at again."""


@router.get("/events", response_class=StreamingResponse)
def stream(
    request: Request,
    database: CurrentDatabase,
    _: Viewer,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """Follow what happens: job progress, slide states, new proposals, rounds."""
    with database.reading() as session:
        newest = events.newest_id(session)
    seen = last_event_id or ""
    start = min(int(seen), newest) if NUMBER.fullmatch(seen) else newest
    return StreamingResponse(
        follow(request, database, start, partial(is_let_in, request, database)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def is_let_in(request: Request, database: Database) -> bool:
    """Say whether the request's token or session still opens the service."""
    try:
        current_user(request, database, browser_session(request, database))
    except Unauthenticated:
        return False
    return True


async def follow(
    request: Request, database: Database, start: int, is_welcome: Callable[[], bool]
) -> AsyncIterator[str]:
    """Yield events newer than `start` until the browser goes away or the stream is old.

    It ends, too, when who listens is no longer welcome.
    """
    end = time.monotonic() + LIFE_SECONDS
    asked = time.monotonic()
    yield "retry: 2000\n\n"
    last, quiet = start, 0
    sent = await run_in_threadpool(known_before, database, start)
    heard = None
    while time.monotonic() < end and not await request.is_disconnected():
        if time.monotonic() >= asked + ASKED_SECONDS:
            if not await run_in_threadpool(is_welcome):
                return
            asked = time.monotonic()
        fresh, heard = await run_in_threadpool(read_since, database, last - OVERLAP, heard)
        news = [event for event in fresh if event.id not in sent]
        for event in news:
            yield line(event)
        if fresh:
            last = max(last, fresh[-1].id)
            sent = {event.id for event in fresh} | {old for old in sent if old > last - OVERLAP}
        quiet = 0 if news else quiet + 1
        if quiet == QUIET_POLLS:
            yield ": still here\n\n"
            quiet = 0
        await asyncio.sleep(POLL_SECONDS)


def known_before(database: Database, start: int) -> set[int]:
    """Return the ids that the overlap shows again but the browser needs no more."""
    batch, _ = read_since(database, start - OVERLAP, None)
    return {event.id for event in batch if event.id <= start}


def read_since(
    database: Database, last_id: int, heard: Pulse | None
) -> tuple[Sequence[Event], Pulse]:
    """Read one batch in a session as short as the query; nothing if the pulse is as heard."""
    with database.reading() as session:
        beat = (last_id, *events.pulse(session, last_id))
        if beat == heard:
            return [], beat
        return events.since(session, last_id, limit=OVERLAP + 500), beat


def line(event: Event) -> str:
    data = json.dumps({"id": event.subject_id, **event.data})
    return f"id: {event.id}\nevent: {event.topic}\ndata: {data}\n\n"
