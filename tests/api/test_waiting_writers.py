"""On SQLite a write holds up every other one: files are read and stored before it begins."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from backend.job_kinds import JobKind
from backend.kit.storage.blobs import Blobs
from tests.conftest import Service
from tests.support.scoring import (
    REPORT,
    ask,
    computed,
    pathologist,
    report_of,
    sign,
    slide_with_tumour,
)

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
PATIENCE = 2.0
"""Seconds that another writer waits: a worker's heartbeat is over by then, a route's own write,
which waits for the file, never."""


@contextmanager
def others_may_write(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let another connection write whenever a blob is touched; yield what was touched."""
    touched: list[str] = []

    def watched(name: str, method: Any) -> Any:
        def call(self: Blobs, given: Any, *more: Any) -> Any:
            file = service.settings.data / "membrana.db"
            assert file.is_file()
            with closing(sqlite3.connect(file, timeout=PATIENCE, isolation_level=None)) as other:
                try:
                    other.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    pytest.fail(f"Blobs.{name} was called while the database was being written")
                other.execute("ROLLBACK")
            touched.append(name)
            return method(self, given, *more)

        return call

    with monkeypatch.context() as patched:
        for name in ("put", "read", "path", "adopt"):
            patched.setattr(Blobs, name, watched(name, getattr(Blobs, name)))
        yield touched


def test_a_report_is_asked_for_computed_corrected_and_signed_without_holding_up_writers(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = slide_with_tumour(service)
    signer = pathologist(service)
    with others_may_write(service, monkeypatch) as touched:
        report_id = computed(service, slide_id)
        assert {"put", "read", "path"} <= set(touched)
        said = {"edits": [{"cell": 0, "action": "exclude"}], "reason": "a lymphocyte"}
        answer = service.client.post(f"/reports/{report_id}/cells", json=said)
        assert answer.status_code == 202, answer.text
        service.run_jobs(REPORT)
        assert report_of(service, report_id)["document"]["excluded_cells"] == 1
        assert sign(signer, report_id).status_code == 200
        amended = signer.post(f"/reports/{report_id}/amend", json={"reason": "again"})
        assert amended.status_code == 202, amended.text
        assert ask(service, slide_id).status_code == 202


def test_a_decision_on_a_cell_of_the_live_score_holds_up_no_writer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = slide_with_tumour(service)
    service.client.put(f"/slides/{slide_id}/score", json={}).raise_for_status()
    service.run_jobs((JobKind.SCORE,))
    box = {"x": 0, "y": 0, "width": 300, "height": 300}
    cell = service.client.get(f"/slides/{slide_id}/cells", params=box).json()["items"][0]
    decision = {"x": cell["x"], "y": cell["y"], "action": "exclude"}
    with others_may_write(service, monkeypatch) as touched:
        answer = service.client.post(
            f"/slides/{slide_id}/cells/decisions", json={"decisions": [decision], "reason": "fold"}
        )
        assert answer.status_code == 202, answer.text
        assert "read" in touched
