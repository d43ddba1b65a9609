"""One look at the events for all who listen in this process, however many browsers there are.

A listener that is new, or too slow to keep up, reads what it has not had from SQL by its own
position; from then on it is told. So nobody waits for anybody, and nothing is lost or told twice.
"""

import asyncio
import json
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from starlette.concurrency import run_in_threadpool

from backend.kit.db.session import Database
from backend.kit.events import service as events
from backend.kit.events.tables import Event

log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
OVERLAP = 200
"""On PostgreSQL a smaller id may appear after a larger one: so many ids are looked at again."""
PAGE = OVERLAP + 500
MOST_WAITING = 1000
"""Events kept for a listener that does not fetch them; it reads them from SQL when it does."""
PLACE = re.compile("([0-9]{1,18})(?:;([0-9]{1,18}(?:,[0-9]{1,18}){0,198}))?")


@dataclass
class Position:
    """How far somebody has heard: up to an event, except those whose numbers were not there yet.

    As text it is an event's id in the stream, which a browser sends back when it returns.
    """

    last: int
    missing: set[int] = field(default_factory=set)

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """Return what `str` wrote, or None; a number alone is a position, too."""
        match = PLACE.fullmatch(text)
        if match is None:
            return None
        last = int(match[1])
        named = map(int, match[2].split(",")) if match[2] else ()
        return cls(last, {each for each in named if last - OVERLAP < each < last})

    def __str__(self) -> str:
        if not self.missing:
            return str(self.last)
        return f"{self.last};{','.join(map(str, sorted(self.missing)))}"

    @property
    def since(self) -> int:
        """The id after which there may be something new."""
        return max(self.last - OVERLAP, 0)

    def hears(self, event_id: int) -> bool:
        """Note an event and say whether it is new here."""
        if event_id <= self.last:
            new = event_id in self.missing
            self.missing.discard(event_id)
            return new
        self.missing |= set(range(max(self.last, event_id - OVERLAP) + 1, event_id))
        self.last = event_id
        self.missing = {each for each in self.missing if each > self.since}
        return True


@dataclass(frozen=True)
class News:
    """An event as all listeners get it, but for the id, which is each one's own position."""

    id: int
    text: str

    @classmethod
    def of(cls, event: Event) -> Self:
        data = json.dumps({"id": event.subject_id, **event.data})
        return cls(event.id, f"event: {event.topic}\ndata: {data}\n\n")


def present(database: Database) -> Position:
    """Return the position of who has heard all there is, from one look."""
    with database.reading() as session:
        ids = events.newest_ids(session, OVERLAP)
    position = Position(max(ids, default=0))
    position.missing = set(range(position.since + 1, position.last)) - set(ids)
    return position


def read(database: Database, last_id: int) -> list[News]:
    """Read one page in a session as short as the query."""
    with database.reading() as session:
        return [News.of(event) for event in events.since(session, last_id, limit=PAGE)]


class Subscriber:
    """One listener. `fresh` is for the stream, all else for the feed."""

    def __init__(self, database: Database, position: Position) -> None:
        self.position = position
        self.ended = False
        self._database = database
        self._behind = True
        self._waiting: deque[News] = deque()
        self._signal = asyncio.Event()

    def tell(self, news: Iterable[News]) -> None:
        """Keep news for the listener, or that there was more than is kept."""
        if not self._behind:
            self._waiting.extend(news)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.clear()
                self._behind = True
        self._signal.set()

    def end(self) -> None:
        self.ended = True
        self._signal.set()

    async def fresh(self, wait_seconds: float) -> list[str]:
        """Return what there is to send, after a while an empty list."""
        if not self._behind and not self._waiting:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._signal.wait(), wait_seconds)
        self._signal.clear()
        if self._behind:
            # from here on it is told, so what comes while SQL is read is there twice, not never
            self._waiting.clear()
            self._behind = False
            news: Sequence[News] = await run_in_threadpool(
                read, self._database, self.position.since
            )
            self._behind = self._behind or len(news) == PAGE
        else:
            news = tuple(self._waiting)
            self._waiting.clear()
        return [
            f"id: {self.position}\n{each.text}" for each in news if self.position.hears(each.id)
        ]


class Feed:
    """The one who looks. It begins with the first listener and ends after the last."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._subscribers: set[Subscriber] = set()
        self._beginning = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None

    @property
    def looks(self) -> bool:
        return self._looking is not None

    @asynccontextmanager
    async def subscribed(self, position: Position) -> AsyncIterator[Subscriber]:
        """Yield a subscriber that gets every event after a position."""
        subscriber = Subscriber(self.database, position)
        try:
            async with self._beginning:
                self._subscribers.add(subscriber)
                if self._looking is None:
                    # before the subscriber reads: what is committed after that, it is told
                    start = await run_in_threadpool(present, self.database)
                    self._looking = asyncio.create_task(self._look(start))
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    async def _look(self, position: Position) -> None:
        try:
            pulse: events.Pulse | None = None
            while self._subscribers:
                news, pulse = await run_in_threadpool(self._read, position.since, pulse)
                fresh = [each for each in news if position.hears(each.id)]
                if fresh:
                    for subscriber in self._subscribers:
                        subscriber.tell(fresh)
                await asyncio.sleep(POLL_SECONDS)
        except Exception:
            # the browsers come back in a moment, and with them whoever looks next
            log.exception("events can't be read; all streams end")
        finally:
            self._looking = None
            for subscriber in self._subscribers:
                subscriber.end()

    def _read(
        self, last_id: int, heard: events.Pulse | None
    ) -> tuple[Sequence[News], events.Pulse]:
        """Read a page; nothing if the pulse is as heard."""
        with self.database.reading() as session:
            pulse = events.pulse(session, last_id)
            if pulse == heard:
                return (), pulse
            return [News.of(each) for each in events.since(session, last_id, limit=PAGE)], pulse

    async def close(self) -> None:
        """End all streams."""
        if looking := self._looking:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
