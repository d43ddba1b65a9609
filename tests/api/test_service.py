"""The service around the work: health, figures, headers, errors and jobs."""

from datetime import timedelta
from pathlib import Path
from socket import socket

import pytest

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import WorkerHeartbeat
from backend.kit.db.base import new_id, now
from backend.people.users.tables import Role
from tests.conftest import Service

LONG = timedelta(minutes=5)


def test_alive_without_signing_in(service: Service) -> None:
    del service.client.headers["Authorization"]
    assert service.client.get("/health/live").json() == {"status": "alive"}


def test_ready_only_with_a_worker(service: Service) -> None:
    answer = service.client.get("/health/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "No worker" in answer.json()["detail"]
    with service.database.writing() as session:
        session.add(WorkerHeartbeat(name="cpu@here", queues="cpu", seen_at=now()))
    assert service.client.get("/health/ready").status_code == 200
    with service.database.writing() as session:
        session.get_one(WorkerHeartbeat, "cpu@here").seen_at = now() - LONG
    assert service.client.get("/health/ready").status_code == 503


def test_figures_count_what_is_there_now(service: Service) -> None:
    queue(service)
    with service.database.writing() as session:
        session.add(WorkerHeartbeat(name="gpu@here", queues="gpu", seen_at=now()))
        session.add(WorkerHeartbeat(name="cpu@gone", queues="cpu", seen_at=now() - LONG))
    service.client.post("/tokens", json={"name": "x"}).raise_for_status()
    service.client.get("/metrics")
    figures = service.client.get("/metrics").text
    assert 'membrana_jobs{kind="cleanup",state="queued"} 1.0' in figures
    assert 0 <= float(figures.split('oldest_queued_seconds{kind="cleanup"} ')[1].split()[0]) < 900
    assert float(figures.split("\nmembrana_free_bytes ")[1].split()[0]) > 0
    assert float(figures.split("\nprocess_resident_memory_bytes ")[1].split()[0]) > 0
    assert 'membrana_workers{queues="gpu"} 1.0' in figures
    assert 'queues="cpu"' not in figures
    assert 'membrana_request_seconds_count{method="GET",route="/metrics",status="200"}' in figures
    assert float(figures.split('membrana_received_bytes_total{route="/tokens"} ')[1].split()[0]) > 0


def test_an_invented_method_or_address_makes_no_label(service: Service) -> None:
    service.client.request("PROPFIND", "/anything/at/all")
    figures = service.client.get("/metrics").text
    assert 'method="other",route="none"' in figures
    assert "PROPFIND" not in figures
    assert "anything" not in figures


def test_not_ready_says_what_is_missing(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client, app = service.client, service.client.app
    with socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"redis://127.0.0.1:{unused.getsockname()[1]}/0"
        lost = service.settings.model_copy(update={"broker_url": nobody, "data": tmp_path / "gone"})
        monkeypatch.setattr(app.state, "settings", lost)
        answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    for part in ("No worker", "broker", "data folder"):
        assert part in answer.json()["detail"]


def test_errors_are_problem_documents(service: Service) -> None:
    for path, status, code in (
        ("/nowhere", 404, "not_found"),
        (f"/jobs/{new_id()}", 404, "job_not_found"),
        ("/jobs?limit=0", 422, "invalid"),
    ):
        answer = service.client.get(path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code == answer.json()["status"] == status
        assert answer.json()["code"] == code
        assert {"type", "title", "detail"} <= set(answer.json())


def test_the_contract_is_served(service: Service) -> None:
    paths = service.client.get("/openapi.json").json()["paths"]
    assert "/api/v1/patches/{patch_id}/annotation" in paths


def queue(service: Service, subject: str = "a") -> str:
    with service.database.writing() as session:
        return jobs.enqueue(session, service.settings, JobKind.CLEANUP, subject).id


def test_jobs_are_listed_shown_and_cancelled(service: Service) -> None:
    first, second = queue(service, "a"), queue(service, "b")
    listed = service.client.get("/jobs", params={"state": "queued"}).json()["items"]
    assert [job["id"] for job in listed] == [second, first]
    assert service.client.get("/jobs", params={"subject": "a"}).json()["items"][0]["id"] == first
    assert service.client.delete(f"/jobs/{first}").json()["state"] == "cancelled"
    service.run_jobs()
    assert service.client.get(f"/jobs/{first}").json()["attempts"] == 0
    assert service.client.get(f"/jobs/{second}").json()["state"] == "succeeded"


def test_pages_of_jobs_leave_nothing_out(service: Service) -> None:
    made = {queue(service, str(number)) for number in range(7)}
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = service.client.get("/jobs", params=params).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(made)
    assert set(seen) == made


def test_a_finished_job_stays_as_it_is(service: Service) -> None:
    job_id = queue(service)
    service.run_jobs()
    assert service.client.delete(f"/jobs/{job_id}").json()["state"] == "succeeded"
    trail = service.client.get("/audit", params={"subject_id": job_id}).json()["items"]
    assert trail == []


def test_a_viewer_cancels_nothing(service: Service) -> None:
    job_id = queue(service)
    assert service.client_of(Role.VIEWER).delete(f"/jobs/{job_id}").status_code == 403
    assert service.client.get(f"/jobs/{job_id}").json()["state"] == "queued"
