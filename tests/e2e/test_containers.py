"""The processes of docker-compose.yml, with its commands and settings, on this machine.

PostgreSQL and Redis ask for passwords with every character that a URL has a meaning for; people
come through Caddy with deploy/Caddyfile, over TLS.
"""

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
from psycopg import sql
from sqlalchemy import make_url

from tests.e2e.conftest import Phantom
from tests.support.containers import OURS, ROOT, compose, tool
from tests.support.installation import Installation, free_port, until
from tests.support.pathologist import idle, ingested, patches_of, upload

pytestmark = pytest.mark.slow
PASSWORDS = {
    "membrana_database_password": "d@t/a:b%41 #?ä",
    "membrana_broker_password": "b/r@k:e%r&+?#",
    "membrana_admin_password": "an admin's @/:% password",
}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder that Docker makes of the secrets."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name, password in PASSWORDS.items():
        (folder / name).write_text(password + "\n")
    return folder


@pytest.fixture
def database_with_password(postgresql: str) -> Iterator[str]:
    """A PostgreSQL user `membrana` who must say a password; yields the folder of the socket."""
    server = make_url(postgresql)
    folder = str(server.query["host"])
    plain = server.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        row = connection.execute("SHOW hba_file").fetchone()
        rules = Path(str(row and row[0]))
        before = rules.read_text()
        rules.write_text("local all membrana scram-sha-256\n" + before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(
            sql.SQL("CREATE ROLE membrana LOGIN PASSWORD {}").format(
                sql.Literal(PASSWORDS["membrana_database_password"])
            )
        )
        connection.execute("CREATE DATABASE membrana OWNER membrana")
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(host=folder, user="membrana", dbname="membrana")
        yield folder
        connection.execute("DROP DATABASE membrana WITH (FORCE)")
        connection.execute("DROP ROLE membrana")
        rules.write_text(before)
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
def institute(
    tmp_path: Path, secrets: Path, database_with_password: str, redis_url: str
) -> Iterator[Installation]:
    """The services of docker-compose.yml; only addresses and folders are this machine's."""
    services = compose()["services"]
    said = dict(services["api"]["environment"])
    url = make_url(said["MEMBRANA_DATABASE_URL"])
    url = url.set(host=None, query={"host": database_with_password})
    broker = redis.Redis.from_url(redis_url)
    broker.config_set("requirepass", PASSWORDS["membrana_broker_password"])
    port = free_port()
    here = {
        "MEMBRANA_DATABASE_URL": str(url),
        "MEMBRANA_BROKER_URL": said["MEMBRANA_BROKER_URL"].replace(
            "broker:6379", redis_url.removeprefix("redis://").partition("/")[0]
        ),
        "MEMBRANA_SECRETS": str(secrets),
        "MEMBRANA_SIGNING_KEY": str(tmp_path / "keys" / "signing.pem"),
        "MEMBRANA_PUBLIC_URL": f"https://localhost:{port}",
        "MEMBRANA_TRUSTED_PROXIES": "127.0.0.1",
    }
    assert set(here) == set(said)  # no more is set here than in the containers
    environment = {**here, "MEMBRANA_THREADS": "1", "MEMBRANA_PORT": str(free_port())}
    (tmp_path / "keys").mkdir()
    installation = Installation(
        tmp_path / "data",
        environment,
        {name: services[name]["command"][1:] for name in OURS if name != "migrate"},
        int(environment["MEMBRANA_PORT"]),
    )
    installation.data.mkdir()
    migrated = subprocess.run(
        [sys.executable, "-m", "backend.cli", *services["migrate"]["command"][1:]],
        # not the tests' own password of the administrator: the one in the file
        env={**os.environ, "MEMBRANA_DATA": str(installation.data), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert migrated.returncode == 0, migrated.stderr
    with installation.running():
        yield installation


@pytest.fixture
def front(institute: Installation, tmp_path: Path) -> Iterator[httpx.Client]:
    """A browser's connection through the proxy, whose certificate is checked."""
    url = httpx.URL(institute.environment["MEMBRANA_PUBLIC_URL"])
    home = tmp_path / "caddy"
    proxy = subprocess.Popen(
        [tool("caddy"), "run", "--config", str(ROOT / "deploy" / "Caddyfile")],
        env={
            "HOME": str(home),
            "XDG_DATA_HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "HTTP_PORT": str(free_port()),
            "HTTPS_PORT": str(url.port),
            "SITE_NAME": "localhost",
            "UPSTREAM": f"127.0.0.1:{institute.port}",
        },
        stderr=subprocess.DEVNULL,
    )
    root = home / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    until(root.is_file, "the proxy's own authority", 60)
    trusted = ssl.create_default_context(cafile=str(root))
    with httpx.Client(base_url=url.join("/api/v1"), verify=trusted, timeout=60) as client:

        def answers() -> bool:
            try:
                return client.get("/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        until(answers, "the service behind the proxy", 60)
        yield client
    proxy.terminate()
    proxy.wait()


def test_the_containers_processes_work_with_any_password_behind_tls(
    front: httpx.Client, institute: Installation, make_phantom: Callable[..., Phantom]
) -> None:
    wrong = front.post("/session", json={"username": "admin", "password": "a wrong password"})
    assert wrong.status_code == 401
    who = {"username": "admin", "password": PASSWORDS["membrana_admin_password"]}
    signed_in = front.post("/session", json=who).raise_for_status()
    # the service believes the proxy that people came over TLS
    assert "Secure" in signed_in.headers["set-cookie"]
    assert "max-age" in signed_in.headers["strict-transport-security"]

    with front.stream("GET", "/events") as events:
        # the first words come while the stream is open: no proxy keeps them back
        assert next(events.iter_raw())

    front.headers["Authorization"] = f"Bearer {institute.token}"
    front.cookies.clear()
    slide, _ = make_phantom(3, 1024)
    slide_id = upload(front, slide)["id"]
    assert ingested(front, slide_id)["state"] == "ready"
    idle(front)
    assert {patch["state"] for patch in patches_of(front, slide_id)} == {"proposed"}

    logs = "".join(each.read_text() for each in institute.data.glob("*.log"))
    for password in PASSWORDS.values():
        assert password not in logs
    assert not re.search(r"Traceback", logs)
