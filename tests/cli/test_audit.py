"""`membrana audit` as an administrator types it."""

import json
import sqlite3
from pathlib import Path

from tests.cli.conftest import Membrana


def test_the_trail_of_a_new_installation_is_signed_and_checked(
    membrana: Membrana, tmp_path: Path
) -> None:
    membrana("db", "upgrade")
    for name in ("anna", "ben"):
        assert membrana("tokens", "create", name).code == 0
    kept = tmp_path / "head.json"
    kept.write_text(membrana("audit", "head").out)
    assert json.loads(kept.read_text())["schema"] == "membrana.audit_head/1"
    whole = membrana("audit", "verify", "--head", str(kept))
    assert (whole.code, json.loads(whole.out)["valid"], whole.err) == (0, True, "")

    with sqlite3.connect(tmp_path / "data" / "membrana.db") as database:
        database.execute("UPDATE audit_head SET number = 7")
    broken = membrana("audit", "verify")
    assert broken.code == 1
    assert json.loads(broken.out)["findings"] == broken.err.splitlines()
    assert "removed from its end" in broken.err

    kept.write_text("{}")
    wrong = membrana("audit", "verify", "--head", str(kept))
    assert wrong.code == 2
    assert "is no head of an audit trail" in wrong.err


def test_a_new_key_goes_on_where_the_lost_one_ended(membrana: Membrana, tmp_path: Path) -> None:
    membrana("db", "upgrade")
    key = tmp_path / "data.keys" / "signing.pem"
    key.unlink()
    lost = membrana("users", "password", "admin")
    assert (lost.code, "signing_key_missing" in lost.err) == (1, True)
    renewed = membrana("audit", "renew-key")
    assert renewed.code == 0, renewed.err
    assert json.loads(membrana("audit", "verify").out) == {
        "valid": True,
        "entries": 1,
        "findings": [],
    }
    again = membrana("audit", "renew-key")
    assert again.code == 0, again.err
    assert membrana("audit", "verify").code == 0
    assert len(list(key.parent.iterdir())) == 3
