"""Methods: HEAD beside every GET, tus's override, what is allowed where, what is nowhere."""

import pytest

from backend.people.users.tables import Role
from tests.conftest import Service
from tests.support.ready import ready_slide
from tests.support.tus import BYTES, TUS, begin


def test_what_can_be_got_can_be_asked_for_without_its_bytes(service: Service) -> None:
    slide_id = ready_slide(service)
    patch_id = service.client.get(f"/slides/{slide_id}/patches").json()["items"][0]["id"]
    for path in (
        "/slides",
        f"/slides/{slide_id}",
        f"/slides/{slide_id}.dzi",
        f"/slides/{slide_id}/thumbnail.jpeg",
        f"/slides/{slide_id}_files/8/0_0.png",
        f"/patches/{patch_id}/image.png",
        "/health/live",
        "/openapi.json",
    ):
        whole, head = service.client.get(path), service.client.head(path)
        assert head.status_code == whole.status_code == 200, path
        assert head.content == b""
        for name in ("content-type", "content-length", "etag", "cache-control"):
            assert head.headers.get(name) == whole.headers.get(name), (path, name)
    assert service.client.head("/slides/unknown").status_code == 404
    assert service.client.head("/slides").headers["X-Request-Id"]


def test_a_stream_asked_for_by_head_ends_at_once(service: Service) -> None:
    answer = service.client.head("/events")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_tus_methods_pass_a_proxy_that_knows_only_post(service: Service) -> None:
    client = service.client
    place = begin(client, 10)
    meant = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0"}
    sent = client.post(place, content=b"12345", headers={**BYTES, **meant})
    assert (sent.status_code, sent.headers["Upload-Offset"]) == (204, "5")
    asked = client.post(place, headers={**TUS, "X-HTTP-Method-Override": "HEAD"})
    assert (asked.status_code, asked.headers["Upload-Offset"]) == (200, "5")
    ended = client.post(place, headers={**TUS, "X-HTTP-Method-Override": "delete"})
    assert ended.status_code == 204
    assert client.head(place, headers=TUS).status_code == 410


def test_nothing_else_is_overridden(service: Service) -> None:
    slide_id = ready_slide(service)
    header = {"X-HTTP-Method-Override": "DELETE"}
    assert service.client.post(f"/slides/{slide_id}", headers=header).status_code == 405
    assert service.client.get(f"/slides/{slide_id}", headers=header).status_code == 200
    place = begin(service.client, 10)
    get = service.client.get(place, headers=header)
    assert get.json()["received"] == 0


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/nowhere", "/slides/x/y/z", "/slides/"])
def test_an_unknown_address_is_not_found_by_any_method(
    service: Service, method: str, path: str
) -> None:
    answer = service.client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_known_address_says_which_methods_it_takes(service: Service) -> None:
    wrong = service.client.put("/slides")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert set(wrong.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}
    wrong = service.client.get("/patches/x/review")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "POST")


def test_the_contract_names_the_problem_document(service: Service) -> None:
    contract = service.client_of(Role.VIEWER).get("/openapi.json").json()
    problem = contract["components"]["schemas"]["Problem"]
    assert {"type", "title", "status", "detail", "code"} <= set(problem["required"])
    said = [
        operation["responses"]["default"]["content"]
        for operations in contract["paths"].values()
        for operation in operations.values()
    ]
    assert len(said) > 50
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    assert all(each == {"application/problem+json": reference} for each in said)
    assert "HTTPValidationError" not in str(contract)
