"""`membrana backup`, `restore` and `storage verify` as an administrator types them."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Membrana


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*"))}


def test_an_installation_goes_into_a_folder_and_out_of_it(
    membrana: Membrana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    membrana("db", "upgrade")
    made = membrana("backup", str(tmp_path / "backup"))
    assert (made.code, json.loads(made.out)["missing"]) == (0, []), made.err
    assert modes(tmp_path / "data") == modes(tmp_path / "backup") == {0}
    full = membrana("restore", str(tmp_path / "backup"))
    assert (full.code, "not_empty" in full.err) == (1, True)
    monkeypatch.setenv("MEMBRANA_DATA", str(tmp_path / "other"))
    restored = membrana("restore", str(tmp_path / "backup"))
    assert restored.code == 0
    assert "bring it back before the first start" in restored.err
    assert modes(tmp_path / "other") == {0}
    assert "signing_key_missing" in membrana("users", "password", "admin").err
    monkeypatch.setenv("MEMBRANA_SIGNING_KEY", str(tmp_path / "data.keys" / "signing.pem"))
    assert membrana("audit", "verify").code == 0
    assert json.loads(membrana("storage", "verify").out)["whole"] is True


def test_what_is_no_backup_is_refused(membrana: Membrana, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    refused = membrana("restore", str(tmp_path / "nothing"))
    assert (refused.code, "no_backup" in refused.err) == (1, True)
