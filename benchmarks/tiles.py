"""Deep Zoom tiles: ours and openslide-python's example server, turn by turn on the same slide.

The example is the program `examples/deepzoom/deepzoom_server.py` of openslide-python, unchanged,
with Flask, in an environment of its own: neither is a part of this project.

    python -m benchmarks.tiles --slide SLIDE --example deepzoom_server.py --python FLASK/python

Each client asks for one tile after the other, over one connection that stays open: all places of
the slide's four finest levels in an order of chance, the same for both. CPU is that of the server's
processes.
"""

import argparse
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from backend.slides.reading.tiles import level_size, top_level
from benchmarks.record import record
from benchmarks.startup import environment, free_port
from benchmarks.tile_clients import Measured, drive

LEVELS = 4
GOAL = 1.3
CLIENTS = (1, 32)


@dataclass(frozen=True)
class Server:
    """A server that shows the slide. Its paths are of tiles, by level, column and row."""

    name: str
    process: psutil.Process
    port: int
    path: str
    headers: dict[str, str]

    def cpu_seconds(self) -> float:
        processes = [self.process, *self.process.children(recursive=True)]
        times = [each.cpu_times() for each in processes]
        return float(sum(each.user + each.system for each in times))

    def mebibytes(self) -> float:
        processes = [self.process, *self.process.children(recursive=True)]
        return float(sum(each.memory_info().rss for each in processes)) / 2**20


def answer_of(port: int, path: str, headers: dict[str, str] | None = None) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers).is_success
    return False


@contextlib.contextmanager
def running(command: list[str], port: int, path: str, env: dict[str, str]) -> Iterator[int]:
    """Start a server, wait until it answers, and end it."""
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not answer_of(port, path):
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended before it answered")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def installation(slide: Path, env: dict[str, str]) -> tuple[str, str]:
    """Make an installation with one slide that is ready; return its id and a token."""
    os.environ.update(env)
    from backend.job_kinds import JobKind
    from backend.jobs.tables import Job
    from backend.kit.db.migrate import upgrade
    from backend.kit.db.session import get_database
    from backend.kit.storage.blobs import Blobs
    from backend.people.users import service as users
    from backend.people.users.tables import Role
    from backend.settings import get_settings
    from backend.slides.catalogue import service as slides
    from worker.predictors import register_cold_start
    from worker.run import run_job

    get_settings.cache_clear()
    settings = get_settings()
    settings.data.mkdir(parents=True, exist_ok=True)
    upgrade()
    database, blobs = get_database(settings.sqlalchemy_url), Blobs(settings.blob_folder)
    sha256 = blobs.put(slide.read_bytes())
    with database.writing() as session:
        register_cold_start(session, blobs)
        admin = users.create_user(session, name="reader", role=Role.ADMIN)
        token = users.create_token(session, admin, name="benchmark")
        row, _ = slides.create(
            session,
            settings,
            sha256=sha256,
            byte_size=slide.stat().st_size,
            name=slide.name,
            stain=None,
            case_id=None,
            mpp=None,
            created_by=admin.id,
        )
        slide_id = row.id
        session.flush()
        job = session.query(Job).filter_by(kind=JobKind.INGEST, subject=slide_id).one()
        job_id = job.id
    run_job(job_id, settings)
    return slide_id, token


def places(slide: Path, rounds: int) -> list[tuple[int, int, int]]:
    """Return level, column and row of tiles that both have, in an order of chance."""
    import openslide

    with openslide.OpenSlide(slide) as opened:
        width, height = opened.dimensions
    top = top_level(width, height)
    found = []
    for level in range(top, top - LEVELS, -1):
        across, down = (max(1, side // 256) for side in level_size(width, height, level))
        found += [(level, column, row) for column in range(across) for row in range(down)]
    chance = random.Random(16)
    return [place for _ in range(rounds) for place in chance.sample(found, len(found))]


def figures(measured: list[Measured]) -> dict[str, Any]:
    """Return the medians of several turns."""

    def middle(values: list[float], digits: int = 2) -> float:
        return round(statistics.median(values), digits)

    return {
        "requests_per_second": middle([each.per_second for each in measured], 1),
        "p50_ms": middle([each.percentile_ms(50) for each in measured]),
        "p95_ms": middle([each.percentile_ms(95) for each in measured]),
        "cpu_ms_per_tile": middle([each.cpu_ms for each in measured]),
        "kilobytes_per_tile": middle([each.kilobytes for each in measured], 1),
        "requests_per_second_of_turns": [round(each.per_second, 1) for each in measured],
    }


def compared(servers: list[Server], tiles: list[Any], clients: int, turns: int) -> dict[str, Any]:
    """Let the servers take turns, the first of them another one each time."""
    measured: dict[str, list[Measured]] = {each.name: [] for each in servers}
    for turn in range(turns):
        for server in servers if turn % 2 == 0 else servers[::-1]:
            before = server.cpu_seconds()
            paths = [server.path.format(*place) for place in tiles]
            result = drive(server.port, paths, server.headers, clients)
            result.cpu_ms = (server.cpu_seconds() - before) * 1000 / len(tiles)
            measured[server.name].append(result)
            print(clients, server.name, result, flush=True)
    rows: dict[str, Any] = {name: figures(each) for name, each in measured.items()}
    ours, example = rows["membrana"], rows["example"]
    ratio = ours["requests_per_second"] / example["requests_per_second"]
    below = all(ours[name] < example[name] for name in ("p50_ms", "p95_ms"))
    rows["ratio"] = round(ratio, 2)
    rows["goal_met"] = ratio >= GOAL and below
    rows["mebibytes"] = {each.name: round(each.mebibytes()) for each in servers}
    return rows


def on_slide(slide: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Start both servers on a slide and let them take turns."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        port, other = free_port(), free_port()
        env = environment(Path(folder) / "data") | {"MEMBRANA_PORT": str(port)}
        slide_id, token = installation(slide, env)
        command = [sys.executable, "-m", "backend.cli", "api"]
        ours = stack.enter_context(running(command, port, "/api/v1/health/live", env))
        example = [str(arguments.python), str(arguments.example), "-p", str(other), str(slide)]
        theirs = stack.enter_context(running(example, other, "/slide.dzi", dict(os.environ)))
        servers = [
            Server(
                "membrana",
                psutil.Process(ours),
                port,
                f"/api/v1/slides/{slide_id}_files/{{}}/{{}}_{{}}.jpeg",
                {"Authorization": f"Bearer {token}"},
            ),
            Server("example", psutil.Process(theirs), other, "/slide_files/{}/{}_{}.jpeg", {}),
        ]
        tiles = places(slide, arguments.rounds)
        # what both have opened and decoded once stays warm for the rest
        compared(servers, tiles, 1, 1)
        rows = {
            str(clients): compared(servers, tiles, clients, arguments.turns) for clients in CLIENTS
        }
        return {"tiles": len(tiles), "clients": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path, action="append", required=True)
    parser.add_argument("--example", type=Path, required=True, help="deepzoom_server.py")
    parser.add_argument("--python", type=Path, required=True, help="of an environment with Flask")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1, help="times that each tile is asked for")
    arguments = parser.parse_args()
    slides = {slide.name: on_slide(slide, arguments) for slide in arguments.slide}
    record(
        "tiles",
        {
            "goal": f"{GOAL} times the example's requests a second, p50 and p95 below its own",
            "turns": arguments.turns,
            "load_average_meanwhile": round(os.getloadavg()[0], 1),
            "slides": slides,
        },
    )


if __name__ == "__main__":
    main()
