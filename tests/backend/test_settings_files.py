"""Settings that come as files, and passwords that are kept apart from their address."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url

from backend.settings import Settings

ADDRESS = "postgresql+psycopg://membrana@database/membrana"
HARD = "p@ss/w:ö%41?#&+ rd"


def test_a_password_needs_no_quoting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "membrana_database_password").write_text(HARD + "\n")
    (tmp_path / "membrana_port").write_text("8123\n")
    (tmp_path / "port").write_text("1\n")  # somebody else's
    monkeypatch.setenv("MEMBRANA_SECRETS", str(tmp_path))
    settings = Settings(database_url=ADDRESS)
    address = make_url(settings.sqlalchemy_url)
    assert (address.password, address.host, address.database) == (HARD, "database", "membrana")
    assert settings.port == 8123
    monkeypatch.setenv("MEMBRANA_PORT", "8124")
    assert Settings(database_url=ADDRESS).port == 8124


def test_no_folder_is_looked_into_that_nobody_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "membrana_port").write_text("8123\n")
    monkeypatch.chdir(tmp_path)
    assert Settings().port == 8000
    monkeypatch.setenv("MEMBRANA_SECRETS", "")
    assert (Settings().port, Settings().secrets) == (8000, None)


def test_a_folder_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEMBRANA_SECRETS", str(tmp_path / "gone"))
    with pytest.raises(ValidationError, match="there is no folder"):
        Settings()


@pytest.mark.parametrize("url", ["", "postgresql+psycopg://database/membrana", "no address"])
def test_a_password_without_its_user_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="name the user"):
        Settings(database_url=url, database_password="x")
    with pytest.raises(ValidationError, match="name the user"):
        Settings(broker_url=url, broker_password="x")
