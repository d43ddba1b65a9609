"""The event stream: nothing lost, nothing twice, one look for all who listen."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any

import pytest
from fastapi import Request
from sqlalchemy import delete, event, text

from backend.events import feed as feeds
from backend.events import routes as stream
from backend.events.feed import Feed, Position, present
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.kit.events import service as events
from backend.kit.events.tables import Event
from backend.people.users import service as auth
from backend.people.users.guards import COOKIE
from backend.people.users.tables import Role, User
from tests.conftest import Service

MOST_SECONDS = 60.0
"""Only so that a stream that never ends is a failed test."""


class Listener:
    """Stands where the web server asks whether the browser is still there."""

    def __init__(self, stays: Callable[[], bool] = lambda: True) -> None:
        self.stays = stays

    async def is_disconnected(self) -> bool:
        return not self.stays()


class Times:
    """Stays while it is asked so many times."""

    def __init__(self, most: int) -> None:
        self.left = most

    def __call__(self) -> bool:
        self.left -= 1
        return self.left >= 0


def follow(
    feed: Feed, start: Position | int, stays: Callable[[], bool] = lambda: True
) -> AsyncIterator[str]:
    position = Position(start) if isinstance(start, int) else start
    return stream.follow(Listener(stays), feed, position, lambda: True)  # type: ignore[arg-type]


def fields_of(part: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in part.strip().splitlines())


def subject(part: str) -> str:
    return str(json.loads(fields_of(part)["data"])["id"])


async def heard(parts: AsyncIterator[str], count: int) -> list[str]:
    """Return the first events of a stream; it is left open."""
    found: list[str] = []
    async with asyncio.timeout(MOST_SECONDS):
        while len(found) < count:
            part = await anext(parts)
            if part.startswith("id: "):
                found.append(part)
    return found


def listen(service: Service, start: int, count: int) -> list[dict[str, Any]]:
    """Return the first `count` events after a position, and fail if they are not there."""

    async def collect() -> list[str]:
        async with aclosing(follow(Feed(service.database), start)) as parts:
            return await heard(parts, count)

    return [
        {"topic": fields_of(part)["event"], **json.loads(fields_of(part)["data"])}
        for part in asyncio.run(collect())
    ]


def queue(service: Service, subject: str = "a") -> str:
    with service.database.writing() as session:
        return jobs.enqueue(session, service.settings, JobKind.CLEANUP, subject).id


def announce(service: Service, *names: str) -> None:
    with service.database.writing() as session:
        for name in names:
            events.announce(session, "slide", name, {"state": "ready"})


def now_at(service: Service) -> int:
    return present(service.database).last


@contextmanager
def statements(service: Service) -> Iterator[list[str]]:
    """Collect the statements about events."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        if "FROM events" in arguments[2]:
            seen.append(arguments[2])

    event.listen(service.database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(service.database.engine, "before_cursor_execute", note)


def test_the_stream_tells_every_move_once(service: Service) -> None:
    start = now_at(service)
    job_id = queue(service)
    service.run_jobs()
    count = now_at(service) - start
    told = [each for each in listen(service, start, count) if each["id"] == job_id]
    assert [each["state"] for each in told] == ["queued", "running", "succeeded"]
    assert {each["topic"] for each in told} == {"job"}


def test_a_browser_that_comes_back_gets_what_it_missed_and_no_more(service: Service) -> None:
    job_id = queue(service)
    seen = now_at(service)
    service.run_jobs()
    told = listen(service, seen, now_at(service) - seen)
    assert [each["state"] for each in told if each["id"] == job_id] == ["running", "succeeded"]


def with_a_late_number(service: Service) -> tuple[int, int]:
    """Leave an event whose smaller neighbour is not there yet; return both ids."""
    announce(service, "late", "early")
    early_id = now_at(service)
    with service.database.writing() as session:
        session.execute(delete(Event).where(Event.id == early_id - 1))
    return early_id - 1, early_id


def add_late(service: Service, late_id: int) -> None:
    with service.database.writing() as session:
        session.add(Event(id=late_id, topic="slide", subject_id="late", data={"state": "ready"}))


def test_an_event_whose_number_is_late_is_still_told(service: Service) -> None:
    """On PostgreSQL the transaction with the smaller number may commit last."""
    late_id, early_id = with_a_late_number(service)

    async def collect() -> list[str]:
        async with aclosing(follow(Feed(service.database), late_id - 1)) as parts:
            first = await heard(parts, 1)
            await asyncio.to_thread(add_late, service, late_id)
            return first + await heard(parts, 1)

    told = asyncio.run(collect())
    assert [subject(part) for part in told] == ["early", "late"]
    assert fields_of(told[0])["id"] == f"{early_id};{late_id}", "one number was not there"
    assert fields_of(told[1])["id"] == str(early_id)


def test_an_event_whose_number_is_late_finds_a_browser_that_was_away(service: Service) -> None:
    late_id, _ = with_a_late_number(service)

    async def collect() -> list[str]:
        feed = Feed(service.database)
        async with aclosing(follow(feed, late_id - 1)) as parts:
            [first] = await heard(parts, 1)
        await asyncio.to_thread(add_late, service, late_id)
        announce(service, "third")
        back = stream.start_of(service.database, fields_of(first)["id"])
        async with aclosing(follow(feed, back)) as parts:
            return [first, *await heard(parts, 2)]

    told = [subject(part) for part in asyncio.run(collect())]
    assert told[0] == "early"
    assert sorted(told[1:]) == ["late", "third"]


def test_who_is_new_hears_what_has_a_smaller_number_and_comes_later(service: Service) -> None:
    late_id, _ = with_a_late_number(service)

    async def collect() -> list[str]:
        start = stream.start_of(service.database, "")
        async with aclosing(follow(Feed(service.database), start)) as parts:
            assert await anext(parts) == "retry: 2000\n\n"
            await asyncio.to_thread(add_late, service, late_id)
            return await heard(parts, 1)

    assert [subject(part) for part in asyncio.run(collect())] == ["late"]


def test_a_position_is_the_same_as_text() -> None:
    position = Position(100, {98})
    assert position.hears(98)
    assert not position.hears(98)
    assert not position.hears(97)
    assert position.hears(104)
    assert str(position) == "104;101,102,103"
    assert Position.from_text(str(position)) == position
    assert position.hears(1104)
    assert len(position.missing) == feeds.OVERLAP - 1, "what is older counts as heard"
    assert Position.from_text(str(position)) == position


def test_all_who_listen_share_one_look(service: Service) -> None:
    """Each browser looked twice a second for itself: a laboratory's were most of all statements."""
    browsers = 20
    start = now_at(service)

    async def collect() -> tuple[list[list[str]], int]:
        feed = Feed(service.database)
        streams = [follow(feed, start) for _ in range(browsers)]
        announce(service, "first")
        await asyncio.gather(*(heard(each, 1) for each in streams))
        with statements(service) as seen:
            announce(service, "second")
            told = await asyncio.gather(*(heard(each, 1) for each in streams))
        for each in streams:
            await each.aclose()  # type: ignore[attr-defined]
        return told, len(seen)

    told, looks = asyncio.run(collect())
    assert [[subject(part) for part in each] for each in told] == [["second"]] * browsers
    assert looks < browsers, "however many listen, it is one who looks"


def test_nobody_looks_when_nobody_listens(service: Service) -> None:
    async def collect() -> None:
        feed = Feed(service.database)
        assert not feed.looks
        for _ in range(2):
            start = now_at(service)
            announce(service, "one")
            async with aclosing(follow(feed, start)) as parts:
                await heard(parts, 1)
                assert feed.looks
            async with asyncio.timeout(MOST_SECONDS):
                while feed.looks:  # noqa: ASYNC110 - it ends by itself, and tells nobody
                    await asyncio.sleep(0)
            with statements(service) as seen:
                await asyncio.sleep(2 * feeds.POLL_SECONDS)
            assert seen == []

    asyncio.run(collect())


def test_a_slow_browser_holds_nobody_and_loses_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept for it has an end; then it reads the rest from SQL, in pages."""
    monkeypatch.setattr(feeds, "MOST_WAITING", 10)
    monkeypatch.setattr(feeds, "PAGE", feeds.OVERLAP + 5)
    start = now_at(service)
    names = [str(number) for number in range(40)]

    async def collect() -> tuple[list[str], list[str]]:
        feed = Feed(service.database)
        quick, slow = follow(feed, start), follow(feed, start)
        announce(service, names[0])
        kept = await heard(slow, 1)
        for name in names[1:]:
            announce(service, name)
        at_once = await heard(quick, len(names))
        kept += await heard(slow, len(names) - 1)
        for each in (quick, slow):
            await each.aclose()  # type: ignore[attr-defined]
        return at_once, kept

    at_once, kept = asyncio.run(collect())
    assert [subject(part) for part in at_once] == names
    assert [subject(part) for part in kept] == names


def test_browsers_that_come_and_go_while_people_work_hear_all_of_it_once(service: Service) -> None:
    """Several write at once, whose commits overlap; every browser leaves after each few events."""
    start = now_at(service)
    writers, each_writes, browsers = 4, 30, 4
    names = {f"{writer}-{number}" for writer in range(writers) for number in range(each_writes)}

    def write(writer: int) -> None:
        for number in range(each_writes):
            announce(service, f"{writer}-{number}")

    async def browse(feed: Feed, stay: int) -> list[str]:
        told: list[str] = []
        place = str(start)
        while len(told) < len(names):
            position = stream.start_of(service.database, place)
            async with aclosing(follow(feed, position)) as parts:
                got = await heard(parts, min(stay, len(names) - len(told)))
            told += map(subject, got)
            place = fields_of(got[-1])["id"]
        return told

    async def collect() -> list[list[str]]:
        feed = Feed(service.database)
        return await asyncio.gather(*(browse(feed, 7 + each) for each in range(browsers)))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    told = asyncio.run(collect())
    for thread in threads:
        thread.join()
    for each in told:
        assert len(each) == len(set(each)) == len(names)
        assert set(each) == names


def test_streams_end_when_events_cannot_be_read_and_begin_again(service: Service) -> None:
    start = now_at(service)
    engine = service.database.engine

    def rename(old: str, new: str) -> None:
        with engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    async def collect() -> list[str]:
        feed = Feed(service.database)
        announce(service, "before")
        parts = follow(feed, start)
        told = await heard(parts, 1)
        rename("events", "away")
        try:
            async with asyncio.timeout(MOST_SECONDS):
                assert [part async for part in parts] == []
        finally:
            rename("away", "events")
        announce(service, "after")
        back = stream.start_of(service.database, fields_of(told[0])["id"])
        async with aclosing(follow(feed, back)) as again:
            return told + await heard(again, 1)

    assert [subject(part) for part in asyncio.run(collect())] == ["before", "after"]


def test_an_old_stream_ends_and_the_browser_comes_back(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LIFE_SECONDS", 0.0)

    async def collect() -> list[str]:
        return [part async for part in follow(Feed(service.database), 0)]

    assert asyncio.run(collect()) == ["retry: 2000\n\n"]


def test_a_stream_ends_with_its_browser(service: Service) -> None:
    async def collect() -> list[str]:
        return [part async for part in follow(Feed(service.database), now_at(service), Times(2))]

    assert asyncio.run(collect()) == ["retry: 2000\n\n"]


@pytest.mark.parametrize("way", ["locked out", "signed out", "token ended"])
def test_a_stream_ends_when_its_listener_may_no_longer_listen(
    service: Service, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(stream, "ASKED_SECONDS", 0.0)
    with service.database.writing() as session:
        user = auth.create_user(session, name="anna", role=Role.VIEWER)
        token = auth.create_token(session, user, name="t")
        opened, secret = auth.open_session(session, user)
    by_token = way == "token ended"
    header = (b"authorization", f"Bearer {token}".encode())
    cookie = (b"cookie", f"{COOKIE}={secret}".encode())
    asked = Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "server": ("testserver", 80),
            "path": "/api/v1/events",
            "query_string": b"",
            "headers": [header if by_token else cookie],
            "app": service.client.app,
        }
    )
    polls = 0

    def stays() -> bool:
        nonlocal polls
        polls += 1
        if polls == 2:
            with service.database.writing() as session:
                if way == "locked out":
                    session.get_one(User, user.id).active = False
                elif way == "signed out":
                    auth.close_session(session, opened)
                else:
                    auth.end_token(session, token)
        return polls <= 50

    async def collect() -> list[str]:
        may = partial(stream.is_let_in, asked, service.database)
        feed, place = Feed(service.database), Position(0)
        return [part async for part in stream.follow(Listener(stays), feed, place, may)]  # type: ignore[arg-type]

    asyncio.run(collect())
    assert polls == 2


@pytest.mark.parametrize(
    "seen", ["\u00b2", "9" * 5000, "-1", "x", "", "1;", "2;1,", "1;" + "0," * 900]
)
def test_a_strange_last_event_id_is_no_error(
    service: Service, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    monkeypatch.setattr(stream, "LIFE_SECONDS", 0.0)
    answer = service.client.get("/events", headers={"Last-Event-ID": seen.encode("latin-1")})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == "retry: 2000\n\n"
