"""Slides with predictions, regions and reports, for tests of reports."""

from typing import Any

from httpx import Response

from backend.her2.reports.schemas import ReportOut
from backend.job_kinds import JobKind
from backend.kit.db.base import new_id
from backend.people.users import service as auth
from backend.people.users.tables import Role
from tests.conftest import Service
from tests.support.ready import predicted_slide
from tests.support.shapes import held

SIDE = 1024
PASSWORD = "correct horse battery"
REPORT = (JobKind.REPORT, JobKind.VERIFY_REPORT)

NAMED = {"case_id": "24-H-1187", "block": "A3"}
"""What a signed report has to name of its slide."""
ISH = {
    "method": "dual probe",
    "result": "positive",
    "read_by": "M. Ito",
    "group": 1,
    "copies": 8.2,
    "ratio": 4.1,
    "cells": 20,
}


def box(left: float, top: float, right: float, bottom: float, kind: str = "tumour") -> dict:
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"kind": kind},
    }


def slide_with_tumour(service: Service, seed: int = 3) -> str:
    """Add a predicted phantom of a 3+ tumour whose left three quarters are marked."""
    slide_id = predicted_slide(service, width=SIDE, height=SIDE, seed=seed)
    service.client.patch(f"/slides/{slide_id}", json=NAMED).raise_for_status()
    answer = service.client.post(f"/slides/{slide_id}/regions", json=box(0, 0, 768, SIDE))
    assert answer.status_code == 201, answer.text
    return slide_id


def ask(service: Service, slide_id: str, *, headers: Any = None, **what: Any) -> Response:
    return service.client.post(f"/slides/{slide_id}/reports", json=what, headers=headers)


def computed(service: Service, slide_id: str, **what: Any) -> str:
    """Ask for a report and let the worker's code compute it; return its id."""
    answer = ask(service, slide_id, **what)
    assert answer.status_code == 202, answer.text
    service.run_jobs(REPORT)
    return answer.json()["report_id"]


def report_of(service: Service, report_id: str) -> dict[str, Any]:
    answer = service.client.get(f"/reports/{report_id}")
    assert answer.status_code == 200, answer.text
    return held(answer.json(), ReportOut)


def pathologist(
    service: Service, password: str | None = PASSWORD, full_name: str | None = "Dr. Ana Osei"
) -> Any:
    """Return the client of a person who has a password."""
    with service.database.writing() as session:
        user = auth.create_user(
            session,
            name=f"dr-{new_id()[-8:]}",
            role=Role.PATHOLOGIST,
            password=password,
            full_name=full_name,
        )
        token = auth.create_token(session, user, name="test")
    client = service.client_of(Role.VIEWER)
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def sign(client: Any, report_id: str, **what: Any) -> Response:
    body = {"score": "3+", "password": PASSWORD, "comment": "", "reason": "by eye"}
    body |= {"without_review": True, **what}
    return client.post(f"/reports/{report_id}/sign", json=body)
