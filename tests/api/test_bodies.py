"""Bodies: a member that nobody knows is refused, so that no mistake passes for a wish."""

from collections.abc import Iterator
from typing import Any

from tests.conftest import Service
from tests.support.ready import code, ready_slide

FEWEST = 12
LAX = {"Thresholds"}
"""Sent back as a score's document names them, beside settings of the protocol that stay its own."""


def schemas_of_bodies(contract: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the schemas that JSON bodies are checked against, parts included."""
    known = contract["components"]["schemas"]
    waiting = [
        operation["requestBody"]["content"]
        for operations in contract["paths"].values()
        for operation in operations.values()
        if "requestBody" in operation
    ]
    seen: set[str] = set()
    while waiting:
        part: Any = waiting.pop()
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in seen:
                seen.add(name)
                waiting.append(known[name])
                if known[name]["type"] == "object":
                    yield name
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def test_no_body_takes_members_that_nobody_knows(service: Service) -> None:
    contract = service.client.get("/openapi.json").json()
    names = list(schemas_of_bodies(contract))
    assert len(names) >= FEWEST
    schemas = contract["components"]["schemas"]
    lax = [name for name in names if schemas[name].get("additionalProperties") is not False]
    assert set(lax) == LAX


def test_the_unknown_member_is_named(service: Service) -> None:
    slide_id = ready_slide(service)
    for path, body in (
        ("/users", {"username": "a", "role": "viewer", "password": "x" * 12, "admin": True}),
        (f"/slides/{slide_id}/predictions", {"modelversion": "x"}),
        (f"/slides/{slide_id}/reports", {"protocoll": "x"}),
    ):
        answer = service.client.post(path, json=body)
        assert code(answer) == (422, "invalid")
        assert list(body)[-1] in answer.json()["detail"]
