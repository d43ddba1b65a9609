"""Seconds from the start of the API's process until it answers (goal: below 2)."""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from benchmarks.record import record

REPEATS = 7
GOAL_SECONDS = 2.0
LOOK_SECONDS = 0.005


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(data: Path) -> dict[str, str]:
    """Return an environment in which compiled modules are kept, as on every installed machine."""
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(data / "compiled")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env | {"MEMBRANA_DATA": str(data), "MEMBRANA_ADMIN_PASSWORD": "for a benchmark"}


def start_once(data: Path) -> tuple[float, float, float]:
    """Return seconds until /health/live answers, CPU seconds until then, and MiB resident."""
    port = free_port()
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.cli", "api"],
        env=environment(data) | {"MEMBRANA_PORT": str(port)},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError("the API ended before it answered") from None
                time.sleep(LOOK_SECONDS)
        httpx.get(f"http://127.0.0.1:{port}/api/v1/health/live").raise_for_status()
        seconds = time.perf_counter() - begun
        service = psutil.Process(process.pid)
        spent = service.cpu_times()
        return seconds, spent.user + spent.system, service.memory_info().rss / 2**20
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if the goal is missed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        upgrade = [sys.executable, "-m", "backend.cli", "db", "upgrade"]
        subprocess.run(upgrade, env=environment(data), check=True)
        # the first start compiles and reads the libraries from disk
        start_once(data)
        runs = [start_once(data) for _ in range(REPEATS)]
    seconds, cpu, memory = zip(*runs, strict=True)
    median = statistics.median(seconds)
    record(
        "startup",
        {
            "goal_seconds": GOAL_SECONDS,
            "median_seconds": round(median, 3),
            "goal_met": median < GOAL_SECONDS,
            "seconds": [round(each, 3) for each in seconds],
            "median_cpu_seconds": round(statistics.median(cpu), 3),
            "load_average_meanwhile": round(os.getloadavg()[0], 1),
            "median_mebibytes": round(statistics.median(memory), 1),
        },
    )
    if arguments.check and median >= GOAL_SECONDS:
        sys.exit(1)


if __name__ == "__main__":
    main()
