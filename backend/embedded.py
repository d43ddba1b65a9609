"""`membrana up`: database, broker, API and workers of one machine as one tree of processes."""

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx

from backend.auth import service as auth
from backend.client import Client
from backend.db.migrate import upgrade
from backend.db.session import get_database
from backend.errors import Conflict
from backend.jobs.tables import Queue
from backend.settings import Settings

STOP_SECONDS = 30.0
LONGEST_PAUSE = 30.0
READY_SECONDS = 180.0
DEMO_SIDE, DEMO_SEED = "4096", "7"
PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """A process that must be there: started again when it dies, with growing pauses."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    start_at: float = 0.0

    def watch(self) -> None:
        """Start the process if it is not running and its pause is over."""
        if self.process is not None and self.process.poll() is not None:
            say(f"{self.name} ended ({self.process.returncode}); it is started again.")
            self.deaths += 1
            self.start_at = time.monotonic() + min(0.5 * 2**self.deaths, LONGEST_PAUSE)
            self.process = None
        if self.process is None and time.monotonic() >= self.start_at:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Ctrl-C reaches `up` alone, which stops the others in order
                    start_new_session=True,
                    preexec_fn=die_with_parent,  # noqa: PLW1509 - no thread is running yet
                )

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, until: float) -> None:
        """Wait for the end; kill what is not over in time, with its whole session."""
        if self.process is None:
            return
        try:
            self.process.wait(max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when `up` itself is killed: no orphan keeps the port."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Tree:
    """The API and one worker for each queue."""

    settings: Settings
    children: list[Child] = field(default_factory=list)
    stopping: bool = False

    def __post_init__(self) -> None:
        logs = self.settings.data / "logs"
        logs.mkdir(exist_ok=True)
        program = [sys.executable, "-m", "backend.cli"]
        self.children.append(Child("the API", [*program, "api"], logs / "api.log"))
        for queue in Queue:
            command = worker_command(queue)
            self.children.append(Child(f"worker {queue}", command, logs / f"{queue}.log"))

    def ask_to_stop(self, *_: object) -> None:
        self.stopping = True

    def stop(self) -> None:
        until = time.monotonic() + STOP_SECONDS
        for child in self.children:
            child.stop()
        for child in self.children:
            child.wait(until)


def worker_command(queue: str) -> list[str]:
    return [
        *(sys.executable, "-m", "celery", "-A", "worker.app", "worker"),
        *("-Q", queue, "-n", f"{queue}@%h", "--loglevel", "warning", "--without-gossip"),
        *("--without-mingle",),
    ]


def up(settings: Settings, *, demo: bool) -> None:
    """Run everything until SIGINT or SIGTERM. Raises Conflict if the folder or port is taken."""
    settings.data.mkdir(parents=True, exist_ok=True)
    with only_one(settings.data):
        check_port(settings)
        upgrade()
        with get_database(settings.sqlalchemy_url).writing() as session:
            entrance = auth.first_start(session, settings.admin_password)
        tree = Tree(settings)
        signal.signal(signal.SIGINT, tree.ask_to_stop)
        signal.signal(signal.SIGTERM, tree.ask_to_stop)
        try:
            greeted = False
            begun = time.monotonic()
            while not tree.stopping:
                for child in tree.children:
                    child.watch()
                if not greeted and (ready(settings) or time.monotonic() - begun > READY_SECONDS):
                    greeted = True
                    greet(settings, entrance, demo=demo)
                time.sleep(0.2)
        finally:
            say("Stopping…")
            tree.stop()
            say("Stopped. Everything is kept in the data folder.")


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[IO[str]]:
    """Hold the data folder. The kernel frees it when the process ends, however it ends."""
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(
                f"Another Membrana runs on the data folder {data}. Stop it, or give another "
                "folder with --data.",
                code="data_folder_in_use",
            ) from None
        yield lock


def check_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError:
            raise Conflict(
                f"Port {settings.port} on {settings.host} is in use. Choose another with --port.",
                code="port_in_use",
            ) from None


def address(settings: Settings) -> str:
    return settings.public_url or f"http://{settings.host}:{settings.port}"


def ready(settings: Settings) -> bool:
    with contextlib.suppress(httpx.TransportError):
        url = f"http://{settings.host}:{settings.port}/api/v1/health/ready"
        return httpx.get(url, timeout=5).status_code == httpx.codes.OK
    return False


def greet(settings: Settings, entrance: str | None, *, demo: bool) -> None:
    """Say where the service is, and bring the demo slide to an empty one."""
    if demo:
        add_demo(settings)
    say(f"Membrana is ready at {address(settings)} (for research use only).")
    if entrance is not None:
        say(f"Sign in once with {address(settings)}/?sign_in={entrance}")


def add_demo(settings: Settings) -> None:
    """Upload a synthetic slide, made by a process of its own: the service knows no models."""
    with get_database(settings.sqlalchemy_url).writing() as session:
        admin = auth.first_admin(session)
        if admin is None:
            return
        token = auth.create_token(session, admin, name="demo slide")
    with Client(f"http://{settings.host}:{settings.port}", token) as client:
        if client.get("/slides", limit=1)["items"]:
            return
        say("Making a demo slide (synthetic, no patient's tissue)…")
        path = settings.data / "demo-synthetic.tif"
        shape = ["--width", DEMO_SIDE, "--height", DEMO_SIDE, "--seed", DEMO_SEED]
        subprocess.run(
            [sys.executable, "-m", "models.phantom", str(path), *shape],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        client.upload(path, case_id="demo")
        for made in settings.data.glob("demo-synthetic*"):
            made.unlink()


def say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201 - the operator's terminal
