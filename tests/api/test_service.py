"""The service around the work: health, figures, headers, errors, jobs and the event stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from socket import socket

import pytest
from fastapi import Request
from sqlalchemy import delete

from backend.auth import service as auth
from backend.auth.guards import COOKIE
from backend.auth.tables import Role, User
from backend.db.base import new_id, now
from backend.events import routes as stream
from backend.events import service as events
from backend.events.tables import Event
from backend.jobs import service as jobs
from backend.jobs.tables import JobKind, WorkerHeartbeat
from tests.conftest import Service

LONG = timedelta(minutes=5)


def test_alive_without_signing_in(service: Service) -> None:
    del service.client.headers["Authorization"]
    assert service.client.get("/health/live").json() == {"status": "alive"}


def test_ready_only_with_a_worker(service: Service) -> None:
    answer = service.client.get("/health/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "No worker" in answer.json()["detail"]
    with service.database.writing() as session:
        session.add(WorkerHeartbeat(name="cpu@here", queues="cpu", seen_at=now()))
    assert service.client.get("/health/ready").status_code == 200
    with service.database.writing() as session:
        session.get_one(WorkerHeartbeat, "cpu@here").seen_at = now() - LONG
    assert service.client.get("/health/ready").status_code == 503


def test_figures_count_what_is_there_now(service: Service) -> None:
    queue(service)
    with service.database.writing() as session:
        session.add(WorkerHeartbeat(name="gpu@here", queues="gpu", seen_at=now()))
        session.add(WorkerHeartbeat(name="cpu@gone", queues="cpu", seen_at=now() - LONG))
    service.client.post("/tokens", json={"name": "x"}).raise_for_status()
    service.client.get("/metrics")
    figures = service.client.get("/metrics").text
    assert 'membrana_jobs{kind="cleanup",state="queued"} 1.0' in figures
    assert 'membrana_workers{queues="gpu"} 1.0' in figures
    assert 'queues="cpu"' not in figures
    assert 'membrana_request_seconds_count{method="GET",route="/metrics",status="200"}' in figures
    assert float(figures.split('membrana_received_bytes_total{route="/tokens"} ')[1].split()[0]) > 0


def test_an_invented_method_or_address_makes_no_label(service: Service) -> None:
    service.client.request("PROPFIND", "/anything/at/all")
    figures = service.client.get("/metrics").text
    assert 'method="other",route="none"' in figures
    assert "PROPFIND" not in figures
    assert "anything" not in figures


def test_not_ready_says_what_is_missing(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client, app = service.client, service.client.app
    with socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"redis://127.0.0.1:{unused.getsockname()[1]}/0"
        lost = service.settings.model_copy(update={"broker_url": nobody, "data": tmp_path / "gone"})
        monkeypatch.setattr(app.state, "settings", lost)
        answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    for part in ("No worker", "broker", "data folder"):
        assert part in answer.json()["detail"]


def test_errors_are_problem_documents(service: Service) -> None:
    for path, status, code in (
        ("/nowhere", 404, "not_found"),
        (f"/jobs/{new_id()}", 404, "job_not_found"),
        ("/jobs?limit=0", 422, "invalid"),
    ):
        answer = service.client.get(path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code == answer.json()["status"] == status
        assert answer.json()["code"] == code
        assert {"type", "title", "detail"} <= set(answer.json())


def test_the_contract_is_served(service: Service) -> None:
    paths = service.client.get("/openapi.json").json()["paths"]
    assert "/api/v1/patches/{patch_id}/annotation" in paths


def queue(service: Service, subject: str = "a") -> str:
    with service.database.writing() as session:
        return jobs.enqueue(session, JobKind.CLEANUP, subject).id


def test_jobs_are_listed_shown_and_cancelled(service: Service) -> None:
    first, second = queue(service, "a"), queue(service, "b")
    listed = service.client.get("/jobs", params={"state": "queued"}).json()["items"]
    assert [job["id"] for job in listed] == [second, first]
    assert service.client.get("/jobs", params={"subject": "a"}).json()["items"][0]["id"] == first
    assert service.client.delete(f"/jobs/{first}").json()["state"] == "cancelled"
    service.run_jobs()
    assert service.client.get(f"/jobs/{first}").json()["attempts"] == 0
    assert service.client.get(f"/jobs/{second}").json()["state"] == "succeeded"


def test_pages_of_jobs_leave_nothing_out(service: Service) -> None:
    made = {queue(service, str(number)) for number in range(7)}
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = service.client.get("/jobs", params=params).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(made)
    assert set(seen) == made


class Listener:
    """Stands where the web server asks whether the browser is still there."""

    def __init__(self, polls: int) -> None:
        self.polls = polls

    async def is_disconnected(self) -> bool:
        self.polls -= 1
        return self.polls < 0


def follow(listener: Listener, service: Service, start: int) -> AsyncIterator[str]:
    return stream.follow(listener, service.database, start, lambda: True)


def listen(service: Service, start: int, polls: int = 1) -> list[dict[str, object]]:
    async def collect() -> list[str]:
        return [part async for part in follow(Listener(polls), service, start)]

    parts = asyncio.run(collect())
    assert parts[0] == "retry: 2000\n\n"
    found = []
    for part in parts[1:]:
        fields = dict(line.split(": ", 1) for line in part.strip().splitlines())
        found.append({"topic": fields["event"], **json.loads(fields["data"])})
    return found


def test_the_stream_tells_every_move_once(service: Service) -> None:
    with service.database.reading() as session:
        start = events.newest_id(session)
    job_id = queue(service)
    service.run_jobs()
    told = [each for each in listen(service, start, polls=3) if each["id"] == job_id]
    assert [each["state"] for each in told] == ["queued", "running", "succeeded"]
    assert {each["topic"] for each in told} == {"job"}


def test_a_browser_that_comes_back_gets_what_it_missed_and_no_more(service: Service) -> None:
    job_id = queue(service)
    with service.database.reading() as session:
        seen = events.newest_id(session)
    service.run_jobs()
    told = [each["state"] for each in listen(service, seen) if each["id"] == job_id]
    assert told == ["running", "succeeded"]


def test_an_event_whose_number_is_late_is_still_told(service: Service) -> None:
    """On PostgreSQL the transaction with the smaller number may commit last."""
    with service.database.writing() as session:
        for number in (1, 2):
            events.announce(session, "slide", f"slide-{number}", {"state": "ready"})
        session.flush()
        late, early = events.since(session, 0)[-2:]
        late_id, early_id = late.id, early.id
        session.execute(delete(Event).where(Event.id == late_id))

    class Late(Listener):
        async def is_disconnected(self) -> bool:
            if self.polls == 2:
                with service.database.writing() as session:
                    session.add(
                        Event(id=late_id, topic="slide", subject_id="slide-1", data={"late": True})
                    )
            return await super().is_disconnected()

    async def collect() -> str:
        parts = follow(Late(3), service, late_id - 1)
        return "".join([part async for part in parts])

    text = asyncio.run(collect())
    assert text.index(f"id: {early_id}") < text.index(f"id: {late_id}")


def test_an_old_stream_ends_and_the_browser_comes_back(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LIFE_SECONDS", 0.0)
    assert listen(service, 0, polls=10**9) == []


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
    asked = Request({"type": "http", "method": "GET", "headers": [header if by_token else cookie]})
    polls = 0

    class Here(Listener):
        async def is_disconnected(self) -> bool:
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
            return await super().is_disconnected()

    async def collect() -> list[str]:
        may = partial(stream.is_let_in, asked, service.database)
        return [part async for part in stream.follow(Here(50), service.database, 0, may)]

    asyncio.run(collect())
    assert polls == 2


@pytest.mark.parametrize("seen", ["\u00b2", "9" * 5000, "-1", "x", ""])
def test_a_strange_last_event_id_is_no_error(
    service: Service, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    monkeypatch.setattr(stream, "LIFE_SECONDS", 0.0)
    answer = service.client.get("/events", headers={"Last-Event-ID": seen.encode("latin-1")})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == "retry: 2000\n\n"


def test_a_finished_job_stays_as_it_is(service: Service) -> None:
    job_id = queue(service)
    service.run_jobs()
    assert service.client.delete(f"/jobs/{job_id}").json()["state"] == "succeeded"
    trail = service.client.get("/audit", params={"subject_id": job_id}).json()["items"]
    assert trail == []


def test_a_viewer_cancels_nothing(service: Service) -> None:
    job_id = queue(service)
    assert service.client_of(Role.VIEWER).delete(f"/jobs/{job_id}").status_code == 403
    assert service.client.get(f"/jobs/{job_id}").json()["state"] == "queued"
