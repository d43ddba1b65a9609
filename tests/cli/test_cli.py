"""Commands on this machine: exit codes, one sentence an error, nothing else on standard output."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from backend.kit.db.session import get_database
from backend.people.users.tables import User
from backend.settings import Settings, get_settings
from tests.cli.conftest import Membrana
from tests.support.installation import Installation


def test_settings_are_listed_and_passwords_hidden(
    membrana: Membrana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMBRANA_ADMIN_PASSWORD", "mother-in-law")
    monkeypatch.setenv("MEMBRANA_DATABASE_URL", "postgresql+psycopg://her:hunter2@host/db")
    monkeypatch.setenv("MEMBRANA_ANALYSIS_MPP", "0.5")
    said = membrana("settings")
    assert said.code == 0
    for name, field in Settings.model_fields.items():
        assert f"MEMBRANA_{name.upper()}=" in said.out
        assert field.description in said.out
    assert "MEMBRANA_ANALYSIS_MPP=0.5" in said.out
    assert "mother-in-law" not in said.out
    assert "hunter2" not in said.out
    assert "her:(hidden)@host/db" in said.out


def test_a_wrong_setting_is_named(membrana: Membrana, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBRANA_PORT", "eighty")
    said = membrana("settings")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("MEMBRANA_PORT: must be a whole number. ")


def test_a_port_that_no_machine_has_is_refused_before_anything_starts(
    membrana: Membrana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMBRANA_PORT", "")
    # what the command sets for its processes goes again with this test
    monkeypatch.setenv("MEMBRANA_PORT", "8000")
    refused = membrana("up", "--port", "99999999")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("MEMBRANA_PORT: must be at most 65535")


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("report", "x"),
        ("worker", "fast"),
        ("tokens", "create", "robot", "--role", "king"),
        ("slides", "upload", "/nowhere/slide.svs"),
        ("up", "--port", "eighty"),
    ],
)
def test_wrong_use_is_2(membrana: Membrana, words: tuple[str, ...]) -> None:
    membrana("db", "upgrade")
    said = membrana(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err


def test_help_offers_every_command_of_the_contract(membrana: Membrana) -> None:
    said = membrana("--help")
    assert said.code == 0
    commands = ("up", "api", "worker", "settings", "db", "users", "tokens", "slides", "predict")
    on_files = ("train", "benchmark", "agreement", "score", "calibrate", "segment")
    for command in (*commands, *on_files, "report", "export"):
        assert f" {command} " in said.out


def test_an_empty_database_says_what_to_do(membrana: Membrana, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    said = membrana("tokens", "create", "robot")
    assert (said.code, said.out) == (1, "")
    assert "membrana db upgrade" in said.err


def test_upgrade_makes_one_admin(membrana: Membrana) -> None:
    assert "/?sign_in=" in membrana("db", "upgrade").out
    again = membrana("db", "upgrade")
    assert (again.code, again.out) == (0, "")


def test_a_person_is_added_once(membrana: Membrana) -> None:
    membrana("db", "upgrade")
    password = "correct horse battery"
    added = membrana("users", "add", "ada", "--role", "admin", "--password", password)
    assert (added.code, added.out) == (0, "")
    again = membrana("users", "add", "ada", "--password", password)
    assert (again.code, again.out) == (1, "")
    assert "(user_exists)" in again.err
    short = membrana("users", "add", "bo", "--password", "short")
    assert short.code == 1
    assert "(password_too_short)" in short.err
    assert "/?sign_in=" in membrana("users", "add", "cy").out
    named = membrana("users", "add", "osei", "--password", password, "--full-name", "Dr. A. Osei")
    assert (named.code, named.out) == (0, "")
    with get_database(get_settings().sqlalchemy_url).reading() as session:
        names = {user.name: user.full_name for user in session.scalars(select(User))}
    assert (names["osei"], names["ada"]) == ("Dr. A. Osei", None)


def test_a_program_keeps_its_role(membrana: Membrana) -> None:
    membrana("db", "upgrade")
    first = membrana("tokens", "create", "robot", "--role", "viewer")
    second = membrana("tokens", "create", "robot", "--role", "viewer")
    assert first.code == second.code == 0
    assert first.out != second.out
    assert len(first.out.split()) == 1
    other = membrana("tokens", "create", "robot", "--role", "admin")
    assert other.code == 1
    assert "(program_has_another_role)" in other.err


def test_a_token_made_beside_the_running_service_is_valid(served: Installation) -> None:
    token = served.run("tokens", "create", "beside", "--role", "viewer")
    headers = {"Authorization": f"Bearer {token.strip()}"}
    assert httpx.get(f"{served.url}/slides", headers=headers).status_code == 200


def test_a_link_for_a_new_person_signs_in_once(served: Installation) -> None:
    address = served.run("users", "add", "dee", "--role", "viewer").strip()
    origin, link = address.split("/?sign_in=")
    assert origin == f"http://127.0.0.1:{served.port}"
    first = httpx.post(f"{served.url}/session", json={"link": link})
    assert first.status_code == 200
    assert httpx.post(f"{served.url}/session", json={"link": link}).status_code == 401


def test_as_a_process_it_ends_with_the_code(tmp_path: Path) -> None:
    env = {**os.environ, "MEMBRANA_DATA": str(tmp_path), "MEMBRANA_TOKEN": ""}
    done = subprocess.run(
        [sys.executable, "-m", "backend.cli", "slides", "list"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("(no_token)\n")
