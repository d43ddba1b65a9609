"""A HER2 report by real workers, from the upload to the signed PDF, on the command line as well."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Phantom
from tests.support.installation import Installation, embedded, finished, production, until
from tests.support.pathologist import idle, ingested, upload

pytestmark = pytest.mark.slow
SIDE = 1536
PASSWORD = "a long enough password"


@pytest.fixture(params=["embedded", "production"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    data = tmp_path / "data"
    if request.param == "embedded":
        return embedded(data, MEMBRANA_THREADS="1")
    urls = [request.getfixturevalue(name) for name in ("fresh_postgresql", "redis_url")]
    return production(data, *urls, MEMBRANA_THREADS="1")


def membrana(installation: Installation, *words: str, code: int = 0) -> dict[str, Any]:
    """Run the command line against the installation; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", *words],
        env={
            **os.environ,
            "MEMBRANA_URL": f"http://127.0.0.1:{installation.port}",
            "MEMBRANA_TOKEN": installation.token,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else {"error": done.stderr}


def sign(client: httpx.Client, report_id: str, score: str) -> dict[str, Any]:
    """Sign as the administrator, a person with a password, in a browser's way."""
    with httpx.Client(base_url=client.base_url) as browser:
        who = browser.post("/session", json={"username": "admin", "password": PASSWORD})
        token = who.raise_for_status().json()["csrf_token"]
        own = {"full_name": "Dr. Ana Osei"}
        browser.patch("/users/me", json=own, headers={"X-CSRF-Token": token}).raise_for_status()
        said = {"score": score, "password": PASSWORD, "comment": "Seen at 20×."}
        said |= {"without_review": True}
        answer = browser.post(
            f"/reports/{report_id}/sign", json=said, headers={"X-CSRF-Token": token}
        )
    return answer.raise_for_status().json()


def test_a_report_from_upload_to_signature(
    installation: Installation, make_phantom: Callable[..., Phantom], tmp_path: Path
) -> None:
    path, _ = make_phantom(4, SIDE)
    with installation.running(), installation.client() as client:
        slide = ingested(client, upload(client, path, case_id="24-1187")["id"])
        asked = client.post(f"/slides/{slide['id']}/predictions", json={}).raise_for_status()
        job = until(
            finished(client, f"/jobs/{asked.json()['id']}", {"succeeded", "failed"}), "a prediction"
        )
        assert job["state"] == "succeeded"
        idle(client)
        client.patch(f"/slides/{slide['id']}", json={"block": "A3"}).raise_for_status()
        ring = [[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE], [0, 0]]
        region = {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"kind": "tumour"},
        }
        client.post(f"/slides/{slide['id']}/regions", json=region).raise_for_status()

        draft = tmp_path / "draft.pdf"
        made = membrana(installation, "report", slide["id"], "-o", str(draft))
        assert made["state"] == "draft"
        assert draft.read_bytes().startswith(b"%PDF")
        assert membrana(installation, "report", "verify", str(draft)) == {
            "report": made["report"],
            "state": "draft",
            "format": "pdf",
            "file": "identical",
            "computed_again": "identical",
            "signature": "unsigned",
        }

        report = client.get(f"/reports/{made['report']}").raise_for_status().json()
        assert sign(client, made["report"], report["score"])["state"] == "signed"
        # the draft is no longer what the service says
        old = membrana(installation, "report", "verify", str(draft), code=1)
        assert (old["file"], old["computed_again"]) == ("differs", "identical")
        for kind in ("pdf", "html", "json", "csv", "fhir", "geojson"):
            words = ("report", slide["id"], "--format", kind, "-o", str(tmp_path / kind))
            assert membrana(installation, *words)["signed_score"] == report["score"]
        membrana(installation, "report", "verify", str(tmp_path / "pdf"))
        client.patch(f"/slides/{slide['id']}", json={"case_id": "another"}).raise_for_status()
        for kind in ("html", "geojson"):
            found = membrana(installation, "report", "verify", str(tmp_path / kind))
            assert (found["format"], found["state"]) == (kind, "signed")
            assert found["signature"] == "valid"
        forged = tmp_path / "forged"
        forged.write_bytes((tmp_path / "json").read_bytes().replace(b"Seen at 20", b"Seen at 40"))
        assert membrana(installation, "report", "verify", str(forged), code=1)["file"] == "differs"
        letter = tmp_path / "letter.pdf"
        letter.write_bytes(b"%PDF-1.7 Dear colleague")
        refused = membrana(installation, "report", "verify", str(letter), code=1)
        assert "(not_a_report)" in refused["error"]
