"""What clients may do to the service: keep it waiting, come all at once, lie about who they are."""

import json
import os
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from backend.kit.db.session import Database
from backend.pulse import Pulse
from backend.settings import Settings
from backend.supervision import Child
from tests.support.installation import Installation, until
from tests.support.ready import phantom, png
from tests.support.rows import add_slide

pytestmark = pytest.mark.slow
CONNECTIONS = 60
HEAD = b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\n"
KINDS = {
    "says nothing": b"",
    "stops in the head": HEAD,
    "stops in the body": HEAD + b"Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{",
    "never reads": b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 60,
}


@contextmanager
def api(data: Path, **env: str) -> Iterator[Installation]:
    """Run the API alone, in a process of its own, on SQLite."""
    installation = Installation(data, env, {"api": ["api"]})
    data.mkdir()
    installation.run("db", "upgrade")
    installation.token = installation.run("tokens", "create", "tests", "--role", "admin").strip()
    installation.start()
    try:
        until(lambda: lives(installation), "the API to answer", 120)
        yield installation
    finally:
        installation.stop()


def lives(installation: Installation) -> bool:
    try:
        return httpx.get(f"{installation.url}/health/live", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def connected(installation: Installation, beginning: bytes) -> socket.socket:
    connection = socket.socket()
    # what is not read fills little here, and then the service's own side
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", installation.port))
    connection.setblocking(False)
    connection.send(beginning)
    return connection


def is_closed(connection: socket.socket, *, reads: bool) -> bool:
    """Say whether the other end has hung up; one that never reads finds out by writing."""
    try:
        if not reads:
            connection.send(b"G")
            return False
        return connection.recv(1 << 16) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_connections_that_keep_the_service_waiting_are_closed(tmp_path: Path) -> None:
    with api(tmp_path / "data", MEMBRANA_CLIENT_SECONDS="2") as installation:
        kinds = {
            name: [connected(installation, beginning) for _ in range(CONNECTIONS)]
            for name, beginning in KINDS.items()
        }
        # a byte now and then keeps nothing open
        drip = connected(installation, HEAD + b"Content-Length: 900\r\n\r\n")
        assert lives(installation)
        for name, connections in kinds.items():
            for each in connections:
                reads = name != "never reads"
                until(lambda each=each, reads=reads: is_closed(each, reads=reads), name, 60)
                each.close()
        until(lambda: not sent(drip), "the drip to be cut", 60)
        assert lives(installation)


def sent(connection: socket.socket) -> bool:
    try:
        connection.send(b" ")
    except BlockingIOError:
        return True
    except OSError:
        return False
    time.sleep(0.05)
    return True


def test_only_a_trusted_proxy_says_for_whom_it_asks(tmp_path: Path) -> None:
    def tries(installation: Installation) -> list[int]:
        with httpx.Client(base_url=installation.url) as client:
            return [
                client.post(
                    "/session",
                    json={"username": f"nobody{number}", "password": "guessed wrongly"},
                    headers={"X-Forwarded-For": f"10.0.0.{number}"},
                ).status_code
                for number in range(32)
            ]

    with api(tmp_path / "data") as installation:
        assert tries(installation) == [401] * 30 + [429] * 2
        # what goes into no log and no thread's way: a start of another setting
        installation.stop()
        installation.env["MEMBRANA_TRUSTED_PROXIES"] = "127.0.0.1, 10.9.0.0/16"
        installation.start()
        until(lambda: lives(installation), "the API to answer", 120)
        assert tries(installation) == [401] * 32


def test_the_first_uploads_after_a_start_may_come_together(tmp_path: Path) -> None:
    pictures = [png(np.full((64, 64, 3), shade, np.uint8)) for shade in range(16)]
    with api(tmp_path / "data") as installation, installation.client() as client:

        def upload(picture: bytes) -> httpx.Response:
            return client.post("/slides", files={"file": ("field.png", picture)})

        with ThreadPoolExecutor(len(pictures)) as pool:
            answers = list(pool.map(upload, pictures))
        assert [each.status_code for each in answers] == [201] * len(pictures), [
            each.text for each in answers
        ]
        assert "Traceback" not in (installation.data / "api.log").read_text()
        jobs = client.get("/jobs", params={"kind": "ingest"}).json()["items"]
        assert len(jobs) == len(pictures)


def test_an_api_that_runs_and_does_not_answer_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = Installation(tmp_path / "data", {}, {})
    installation.data.mkdir()
    installation.run("db", "upgrade")
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "backend.cli", "api"]
    child = Child("The API", command, tmp_path / "api.log")
    pulse = Pulse(child, f"{installation.url}/health/live", 6)

    def watched() -> None:
        child.watch()
        pulse.look()

    def answers() -> bool:
        watched()
        return pulse.has_answered

    try:
        until(answers, "the API to answer", 120)
        assert child.process is not None
        silent = child.process.pid
        os.kill(silent, signal.SIGSTOP)
        until(lambda: watched() or child.process is None, "the silent one to be ended", 60)
        until(answers, "another to answer", 120)
        assert child.process.pid != silent
    finally:
        child.kill_session()


def outlines(number: int) -> bytes:
    """A megabyte of squares that each cover the whole slide; no two imports are alike."""
    ring = [[0, 0], [760, 0], [760, 500], [0, 500], [0, 0]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": "Membrane"}, "number": number},
    }
    text = json.dumps(feature)
    whole = ", ".join([text] * ((1 << 20) // len(text)))
    return f'{{"type": "FeatureCollection", "features": [{whole}]}}'.encode()


def test_imports_whose_senders_leave_cost_the_api_nothing(tmp_path: Path) -> None:
    """45 imports of 1 MB, left after they were sent, took 3.4 GB and silenced it for minutes."""
    with api(tmp_path / "data") as installation, installation.client() as client:
        environment = {
            name: value
            for name, value in installation.environment.items()
            if name.startswith("MEMBRANA_")
        }
        settings = Settings(**{name[9:].lower(): value for name, value in environment.items()})
        database = Database(settings.sqlalchemy_url)
        slide_id = add_slide(database, settings, phantom(768, 512, 3), size=(768, 512), mpp=0.25)
        database.dispose()
        place = f"/api/v1/slides/{slide_id}/annotations.geojson"
        process = psutil.Process(installation.processes["api"].pid)
        before = process.memory_info().rss
        left = []
        for number in range(45):
            body = outlines(number)
            connection = socket.create_connection(("127.0.0.1", installation.port))
            head = (
                f"POST {place} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {installation.token}"
                f"\r\nContent-Type: application/geo+json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            left.append(connection)
        for connection in left:
            connection.close()
        assert lives(installation)
        until(lambda: idle(installation), "the API to be done with them", 60)
        assert process.memory_info().rss - before < 300 << 20
        # the first of them is a job; the slide takes no other until that is done
        assert len(client.get("/jobs", params={"kind": "import"}).json()["items"]) == 1


def idle(installation: Installation) -> bool:
    """Say whether the API answers a request for the slide's masks, and uses no processor."""
    process = psutil.Process(installation.processes["api"].pid)
    return lives(installation) and process.cpu_percent(0.5) < 20


def test_liveness_answers_while_every_thread_waits(tmp_path: Path) -> None:
    with api(tmp_path / "data") as installation, installation.client() as client:
        lock = sqlite3.connect(installation.data / "membrana.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(60) as pool:
            waiting = [
                pool.submit(client.post, "/tokens", json={"name": f"token {number}"})
                for number in range(60)
            ]
            # asked until some of them must stand in the line for a thread
            assert all(lives(installation) for _ in range(3))
            assert not any(each.done() for each in waiting)
            lock.execute("ROLLBACK")
            assert {each.result().status_code for each in waiting} == {201}
        lock.close()
