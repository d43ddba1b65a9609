"""0019: drafts' own decisions on cells become the slide's; what is signed keeps what it froze."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from backend.her2.reports import integrity
from backend.her2.reports import service as reports
from backend.her2.scores.tables import CellDecision
from backend.job_kinds import JobKind
from backend.kit import signing_key
from backend.kit.canonical import canonical
from backend.kit.db.base import new_id
from backend.kit.db.migrate import config
from tests.conftest import Service
from tests.support import before_keys
from tests.support.scoring import REPORT, computed, pathologist, report_of, sign, slide_with_tumour

EDITS = {
    "edits": [
        {"cell": 0, "action": "exclude"},
        {"cell": 1, "action": "class", "class": "IC"},
        {"cell": 2, "action": "exclude"},
        {"cell": 2, "action": "include"},
    ],
    "reason": "seen at 40×, „sicher“",
}
ADD = text(
    "INSERT INTO report_cell_edits (report_id, number, cell, action, label, measured, author_id, "
    "reason, id, created_at) SELECT :report_id, :number, :cell, 'exclude', NULL, 'N', id, "
    ":reason, :id, :created_at FROM users ORDER BY id LIMIT 1"
)


def edited(service: Service, slide_id: str) -> str:
    report_id = computed(service, slide_id)
    pathologist(service).post(f"/reports/{report_id}/cells", json=EDITS).raise_for_status()
    service.run_jobs((*REPORT, JobKind.SCORE))
    return report_id


def log_of(service: Service, report_id: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = service.client.get(f"/reports/{report_id}/cells").json()["items"]
    return items


def rows_of(service: Service, statement: str) -> list[dict[str, Any]]:
    with service.database.engine.connect() as connection:
        return [dict(each) for each in connection.execute(text(statement)).mappings()]


def scored(service: Service) -> str:
    slide_id = slide_with_tumour(service)
    service.client.put(f"/slides/{slide_id}/score", json={}).raise_for_status()
    service.run_jobs((JobKind.SCORE,))
    return slide_id


def decided(service: Service, slide_id: str) -> list[CellDecision]:
    with service.database.reading() as session:
        found = session.query(CellDecision).where(CellDecision.slide_id == slide_id)
        return list(found.order_by(CellDecision.number))


def without_key(content: bytes) -> bytes:
    """Return a report's JSON as one from before the installation's key: downgraded, it is lost."""
    document = json.loads(content)
    del document["signature"]["key"], document["signature"]["ed25519"]
    return canonical(document, ensure_ascii=False)


def altered(service: Service, report_id: str) -> list[str]:
    keys = signing_key.trusted(service.settings.signing_key_file)
    with service.database.reading() as session:
        report = reports.get(session, report_id)
        assert integrity.recomputed(session, report) == report.signature_sha256
        return integrity.altered(session, service.blobs, report, keys)


def test_drafts_and_signed_reports_lose_nothing(service: Service) -> None:
    slide_id = scored(service)
    draft, signed = edited(service, slide_id), edited(service, slide_id)
    assert sign(pathologist(service), signed).status_code == 200
    logs = {each: log_of(service, each) for each in (draft, signed)}
    assert len(logs[draft]) == len(logs[signed]) == 4
    drafted = report_of(service, draft)
    exports = {
        ending: service.client.get(f"/reports/{signed}.{ending}").content
        for ending in ("json", "pdf", "html", "fhir.json", "csv")
    }
    before_keys.downgrade(service, "0018")
    before = rows_of(service, f"SELECT * FROM reports WHERE id = '{signed}'")
    old = rows_of(service, "SELECT * FROM report_cell_edits ORDER BY report_id, number")
    assert sorted(each["number"] for each in old) == [1, 1, 2, 2, 3, 3, 4, 4]
    assert rows_of(service, "SELECT * FROM cell_decisions") == []
    command.upgrade(config(), "head")

    # what is signed: the row, every export and the signature are as they were
    after = rows_of(service, f"SELECT * FROM reports WHERE id = '{signed}'")
    assert [{name: each[name] for name in before[0]} for each in after] == before
    for ending, content in exports.items():
        now = service.client.get(f"/reports/{signed}.{ending}").content
        assert now == (content if ending != "json" else without_key(content)), ending
    assert log_of(service, signed) == logs[signed]
    assert altered(service, signed) == []
    for change in ("frozen_edits = '[]'", "frozen_edits = NULL", "edit_count = 0"):
        statement = text(f"UPDATE reports SET {change} WHERE id = '{signed}'")
        with pytest.raises(IntegrityError), service.database.writing() as session:
            session.execute(statement)

    # the draft's are the slide's: where its nuclei lie, with author, time and reason
    assert log_of(service, draft) == logs[draft]
    assert report_of(service, draft) == drafted
    own = decided(service, slide_id)
    assert {each.report_id for each in own} == {draft}
    with service.database.reading() as session:
        measured = reports.get(session, draft).files["measured"]
    with np.load(service.blobs.path(measured)) as columns:
        places = [(columns["x"][each], columns["y"][each]) for each in (0, 1, 2, 2)]
    assert [(each.x, each.y) for each in own] == places
    assert [each.number for each in own] == [1, 2, 3, 4]
    for row, said in zip(own, logs[draft], strict=True):
        assert row.author_id == said["author"]["id"]
        assert row.created_at == datetime.fromisoformat(said["created_at"])
        assert (row.reason, row.action, row.label) == (
            said["reason"],
            said["action"],
            said["class"],
        )

    # the live score follows, and both reports are computed again as they were
    service.run_jobs((JobKind.SCORE,))
    score = service.client.get(f"/slides/{slide_id}/score").json()
    assert (score["state"], score["document"]["excluded_cells"]) == ("current", 1)
    for each in (draft, signed):
        job = service.client.post(f"/reports/{each}/verify").raise_for_status().json()
        service.run_jobs(REPORT)
        assert service.client.get(f"/jobs/{job['id']}").json()["state"] == "succeeded"


def test_a_decision_of_later_time_on_the_slide_still_counts(service: Service) -> None:
    """Numbers of what a migration adds are later than their time."""
    slide_id = scored(service)
    draft = computed(service, slide_id)
    with service.database.reading() as session:
        measured = reports.get(session, draft).files["measured"]
    with np.load(service.blobs.path(measured)) as columns:
        x, y = float(columns["x"][0]), float(columns["y"][0])
    for action in ("exclude", "include"):
        said = {"decisions": [{"x": x, "y": y, "action": action}], "reason": "why"}
        where = f"/slides/{slide_id}/cells/decisions"
        service.client.post(where, json=said).raise_for_status()
    service.run_jobs((JobKind.SCORE,))
    first, last = decided(service, slide_id)
    command.downgrade(config(), "0018")
    between = first.created_at + (last.created_at - first.created_at) / 2
    with service.database.writing() as session:
        values = {"report_id": draft, "number": 1, "cell": 0, "id": new_id(), "reason": "between"}
        session.execute(ADD, values | {"created_at": at(service, between)})
        session.execute(text(f"UPDATE reports SET edit_count = 1 WHERE id = '{draft}'"))
    command.upgrade(config(), "head")
    assert [each.reason for each in decided(service, slide_id)] == ["why", "why", "between"]
    service.run_jobs((JobKind.SCORE,))
    score = service.client.get(f"/slides/{slide_id}/score").json()
    assert score["document"]["excluded_cells"] == 0
    assert [each["cell"] for each in log_of(service, draft)] == [0]


def at(service: Service, moment: datetime) -> Any:
    """A time as each engine takes it from plain SQL."""
    if service.database.engine.dialect.name == "sqlite":
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return moment


def test_decisions_whose_nuclei_are_lost_stay_with_their_draft(service: Service) -> None:
    slide_id = scored(service)
    draft, beyond = computed(service, slide_id), computed(service, slide_id, gap="1+")
    command.downgrade(config(), "0018")
    now = datetime.now(UTC)
    with service.database.writing() as session:
        for number, (report_id, cell) in enumerate(((draft, 0), (beyond, 10**6)), 1):
            values = {"report_id": report_id, "number": 1, "cell": cell, "id": new_id()}
            values |= {"reason": f"lost {number}", "created_at": at(service, now)}
            session.execute(ADD, values)
            session.execute(text(f"UPDATE reports SET edit_count = 1 WHERE id = '{report_id}'"))
    [row] = rows_of(service, f"SELECT files FROM reports WHERE id = '{draft}'")
    files = row["files"] if isinstance(row["files"], dict) else json.loads(row["files"])
    path = service.blobs.path(files["measured"])
    content = path.read_bytes()
    path.unlink()
    command.upgrade(config(), "head")
    assert decided(service, slide_id) == []
    for report_id, reason in ((draft, "lost 1"), (beyond, "lost 2")):
        [edit] = log_of(service, report_id)
        assert (edit["reason"], edit["number"], edit["measured"]) == (reason, 1, "N")
        assert datetime.fromisoformat(edit["created_at"]) - now < timedelta(seconds=1)
    # brought back from a backup, the draft goes on: both decisions are signed
    path.write_bytes(content)
    said = {"edits": [{"cell": 1, "action": "exclude"}], "reason": "later"}
    service.client.post(f"/reports/{draft}/cells", json=said).raise_for_status()
    service.run_jobs(REPORT)
    assert report_of(service, draft)["document"]["excluded_cells"] == 2
    assert sign(pathologist(service), draft).status_code == 200
    assert [each["reason"] for each in log_of(service, draft)] == ["lost 1", "later"]
    assert altered(service, draft) == []
