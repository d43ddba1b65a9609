"""The command line in this process, and a real API in its own for what speaks REST."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from backend.settings import get_settings
from tests.support.installation import Installation, until
from worker import cli


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Membrana = Callable[..., Outcome]


@pytest.fixture
def membrana(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Membrana]:
    """Return a function that runs `membrana WORDS…` on a data folder of this test's own."""
    monkeypatch.setenv("MEMBRANA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MEMBRANA_DATABASE_URL", "")
    for name in ("MEMBRANA_TOKEN", "MEMBRANA_ADMIN_PASSWORD", "MEMBRANA_TRACE"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> Outcome:
        get_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["membrana", *words])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Outcome(code, said.out, said.err)

    # commands of the service make files that are its account's alone from then on
    umask = os.umask(0o022)
    os.umask(umask)
    yield run
    os.umask(umask)
    get_settings.cache_clear()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An API without workers: what is uploaded stays as it came."""
    data = tmp_path_factory.mktemp("served") / "data"
    data.mkdir()
    installation = Installation(data, {}, {"api": ["api"]})
    installation.run("db", "upgrade")
    installation.start()
    try:

        def alive() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{installation.url}/health/live").status_code == 200
            return False

        until(alive, "the API", 60)
        installation.token = installation.run("tokens", "create", "cli", "--role", "admin").strip()
        yield installation
    finally:
        installation.stop()


@pytest.fixture
def remote(membrana: Membrana, served: Installation, monkeypatch: pytest.MonkeyPatch) -> Membrana:
    """`membrana` with the address and token of the served installation."""
    monkeypatch.setenv("MEMBRANA_URL", f"http://127.0.0.1:{served.port}")
    monkeypatch.setenv("MEMBRANA_TOKEN", served.token)
    return membrana
