"""Schemathesis asks every operation as every role: no error of the service, nothing undocumented.

Where an address names something that is there, half of the calls name it. The long run, by hand:
`MEMBRANA_CONTRACT_CALLS=80 pytest tests/api/test_contract.py`.
"""

import os
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from backend.jobs.tables import WorkerHeartbeat
from backend.kit.db.base import now
from backend.people.users.tables import Role
from tests.conftest import Service
from tests.support.ready import patches_of, predicted_slide

CALLS = int(os.environ.get("MEMBRANA_CONTRACT_CALLS", "4"))
NEVER_ENDS = "/api/v1/events"
ASKED = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


ONCE: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


@schemathesis.serializer("application/offset+octet-stream")
def octets(_: Any, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def names_there(client: TestClient, slide_id: str) -> dict[str, Any]:
    """Return what addresses may name: ids of what this service has."""
    return {
        "slide_id": slide_id,
        "patch_id": patches_of(client, slide_id)[0]["id"],
        "model_version_id": client.get("/model-versions").json()["items"][0]["id"],
        "job_id": client.get("/jobs").json()["items"][0]["id"],
        "user_id": client.get("/users/me").json()["id"],
        "level": 0,
        "col": 0,
        "row": 0,
    }


def trouble(operation: Any, names: dict[str, Any], headers: dict[str, str]) -> list[str]:
    """Call one operation some times; return what was wrong with its answers."""
    calls = count()

    def ask(case: Any) -> None:
        # what is deleted is not there for those that come after
        if next(calls) % 2 and case.method != "DELETE":
            drawn = case.path_parameters or {}
            case.path_parameters = {name: names.get(name, drawn[name]) for name in drawn}
        case.call_and_validate(headers=headers, checks=ASKED)

    asked = given(case=operation.as_strategy())(ask)
    try:
        seed(1)(settings(max_examples=CALLS, **ONCE)(asked))()
    except FailureGroup as group:
        return [f"{operation.label}: {failure}" for failure in group.exceptions]
    return []


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("role", list(Role))
def test_no_role_meets_an_error_or_an_undocumented_answer(service: Service, role: Role) -> None:
    slide_id = predicted_slide(service)
    with service.database.writing() as session:
        session.add(WorkerHeartbeat(name="all@here", queues="cpu", seen_at=now() + timedelta(1)))
    names = names_there(service.client, slide_id)
    client = service.client_of(role)
    headers = {"Authorization": client.headers["Authorization"]}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", client.app)
    operations = [each.ok() for each in schema.exclude(path=NEVER_ENDS).get_all_operations()]
    assert len(operations) > 90
    assert [line for each in operations for line in trouble(each, names, headers)] == []
    assert client.get("/health/live").status_code == 200
