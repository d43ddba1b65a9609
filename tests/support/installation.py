"""A whole installation in its own processes, as an operator runs it, and what tests do to it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

T = TypeVar("T")
PATIENCE = 900.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(look: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """Return the first true answer; fail with a sentence when patience ends."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if answer := look():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {patience:.0f} s in vain for {what}")


@dataclass
class Installation:
    """Processes by name. `commands` says how each starts; `env` holds the settings."""

    data: Path
    env: dict[str, str]
    commands: dict[str, list[str]]
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    token: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "MEMBRANA_DATA": str(self.data),
            "MEMBRANA_PORT": str(self.port),
            "MEMBRANA_ADMIN_PASSWORD": "a long enough password",
            **self.env,
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "backend.cli", *command],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *names: str) -> None:
        for name in names or tuple(self.commands):
            with (self.data / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "backend.cli", *self.commands[name]],
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                )

    def ready(self) -> None:
        """Wait until the service says that all its parts are there; make the tests' token."""

        def asked() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{self.url}/health/ready").status_code == 200
            return False

        until(asked, f"the service to be ready; logs are in {self.data}", 120)
        self.token = self.token or self.run("tokens", "create", "tests", "--role", "admin").strip()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=60,
            transport=httpx.HTTPTransport(retries=3),
        )

    def workers(self, queue: str) -> list[psutil.Process]:
        """Return the processes that serve a queue: Celery's parent and its pool."""
        mine = []
        for process in psutil.process_iter(["cmdline", "environ"]):
            line = process.info["cmdline"] or []
            env = process.info["environ"] or {}
            if env.get("MEMBRANA_DATA") != str(self.data) or "celery" not in " ".join(line):
                continue
            if queue in line:
                mine += [process, *process.children(recursive=True)]
        return mine

    def kill_worker(self, queue: str) -> None:
        """`kill -9` a worker, parent and pool, as a power cut or the kernel's memory guard does."""
        victims = self.workers(queue)
        assert victims, f"no worker serves {queue}"
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(victims, timeout=10)

    def kill_everything(self) -> None:
        """`kill -9` every process of the installation at once."""
        everything = [
            member
            for process in self.processes.values()
            for member in [psutil.Process(process.pid), *children(process.pid)]
        ]
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(everything, timeout=10)
        for process in self.processes.values():
            process.wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for name, process in self.processes.items():
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill_everything()
                raise AssertionError(f"{name} did not stop within a minute of SIGTERM") from None

    @contextlib.contextmanager
    def running(self) -> Iterator["Installation"]:
        self.data.mkdir(parents=True, exist_ok=True)
        if "up" not in self.commands:
            self.run("db", "upgrade")
        self.start()
        try:
            self.ready()
            yield self
        finally:
            self.stop()


def children(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def embedded(data: Path, **env: str) -> Installation:
    """`membrana up`: SQLite, the filesystem broker, everything under one process."""
    installation = Installation(data, env, {})
    installation.commands["up"] = ["up", "--data", str(data), "--port", str(installation.port)]
    return installation


def production(data: Path, database_url: str, broker_url: str, **env: str) -> Installation:
    """PostgreSQL and Redis, each of our processes on its own, as in containers."""
    urls = {"MEMBRANA_DATABASE_URL": database_url, "MEMBRANA_BROKER_URL": broker_url}
    commands = {
        "api": ["api"],
        **{queue: ["worker", queue] for queue in ("interactive", "gpu", "cpu")},
    }
    return Installation(data, {**urls, **env}, commands)


def finished(client: httpx.Client, path: str, states: set[str]) -> Callable[[], Any]:
    """Return a look at a resource that answers once it is in one of these states."""

    def look() -> Any:
        resource = client.get(path).raise_for_status().json()
        return resource if resource["state"] in states else None

    return look
