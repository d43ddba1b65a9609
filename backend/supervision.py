"""The processes below `membrana up`: started, watched, started again, stopped together."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from backend.job_kinds import Queue
from backend.settings import get_settings

STOP_SECONDS = 30.0
LONGEST_PAUSE = 30.0
STABLE_SECONDS = 60.0
"""A process that lived this long has forgotten its earlier deaths."""
PR_SET_PDEATHSIG = 1
LARGEST_LOG = 32 * 2**20


def say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201 - the operator's terminal


def worker_command(queue: str) -> list[str]:
    processes = get_settings().processes_of_cpu if queue == Queue.CPU else 1
    return [
        # quiet: no banner among the log's JSON
        *(sys.executable, "-m", "celery", "--quiet", "-A", "worker.app", "worker"),
        *("-Q", queue, "-n", f"{queue}@%h", "--loglevel", "warning", "--without-gossip"),
        *("--without-mingle", "--concurrency", str(processes)),
    ]


def die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL when `up` itself is killed: no orphan keeps the port."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # it may have died between the fork and the request
        if os.getppid() != parent:
            os._exit(1)


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process of ours in a session of its own; it ends when we do."""
    parent = os.getpid()
    with log.open("ab") as written:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            # Ctrl-C reaches `up` alone, which stops the others in order
            start_new_session=True,
            preexec_fn=lambda: die_with(parent),  # noqa: PLW1509 - `up` has one thread
        )


def rotate(log: Path, largest: int = LARGEST_LOG) -> None:
    """Put a log that has grown too long aside, in the place of the one before.

    Copied and emptied, since the process keeps its file open; it appends, so it goes on at the
    beginning. A line written in between is lost.
    """
    if log.exists() and log.stat().st_size > largest:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


@dataclass
class Child:
    """A process that must be there: started again when it dies, with growing pauses."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started_at: float = 0.0
    start_at: float = 0.0

    def watch(self) -> None:
        """Start the process if it is not running and its pause is over."""
        rotate(self.log)
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            self.deaths = 0 if now - self.started_at > STABLE_SECONDS else self.deaths
            pause = min(0.5 * 2**self.deaths, LONGEST_PAUSE)
            say(
                f"{self.name} ended ({self.process.returncode}); it starts again in "
                f"{pause:.1f} s. See {self.log}."
            )
            # its pool must not work beside the next one's
            self.kill_session()
            self.deaths += 1
            self.start_at = now + pause
            self.process = None
        if self.process is None and now >= self.start_at:
            self.started_at = now
            self.process = start(self.command, self.log)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, until: float) -> None:
        """Wait for the end; kill what is not over in time, with its whole session."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(until - time.monotonic(), 0.1))
        self.kill_session()
        self.process.wait()

    def kill_session(self) -> None:
        """Kill what is left of the process's session: its number is its first process's."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


@dataclass
class Tree:
    """The API and one worker for each queue."""

    logs: Path
    children: list[Child] = field(default_factory=list)
    stopping: bool = False

    def __post_init__(self) -> None:
        self.logs.mkdir(exist_ok=True)
        api = [sys.executable, "-m", "backend.cli", "api"]
        self.children.append(Child("The API", api, self.logs / "api.log"))
        for queue in Queue:
            command = worker_command(queue)
            self.children.append(Child(f"The worker {queue}", command, self.logs / f"{queue}.log"))

    @property
    def api(self) -> Child:
        return self.children[0]

    def heed_signals(self) -> None:
        """Let Ctrl-C, `kill` and a closed terminal stop everything in order."""
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, self.ask_to_stop)

    def ask_to_stop(self, *_: object) -> None:
        self.stopping = True

    def watch(self) -> None:
        for child in self.children:
            child.watch()

    def stop(self) -> None:
        until = time.monotonic() + STOP_SECONDS
        for child in self.children:
            child.stop()
        for child in self.children:
            child.wait(until)
