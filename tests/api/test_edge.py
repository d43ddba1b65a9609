"""The edge of the service: headers, request ids, bodies that are too large, text that is none."""

import logging
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from structlog.contextvars import get_contextvars

from backend.app import create_app
from backend.kit import problems
from backend.kit.security import HEADERS, LARGEST_BODY
from backend.settings import Settings
from backend.web_page import serve_annotator
from tests.conftest import Service


def test_every_answer_carries_the_headers(service: Service) -> None:
    for path in ("/health/live", "/nowhere", "/slides?limit=0", "/slides?cursor=%00"):
        headers = service.client.get(path).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_an_error_of_ours_carries_them_too_and_the_request_s_id(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings)

    @app.get("/api/v1/broken")
    def broken() -> None:
        raise ZeroDivisionError

    logged = []
    monkeypatch.setattr(
        problems.log, "error", lambda *_, **about: logged.append((about, get_contextvars()))
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/api/v1/broken", headers={"X-Request-Id": "mine"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert answer.headers["X-Request-Id"] == "mine"
    [(about, context)] = logged
    assert isinstance(about["exc_info"], ZeroDivisionError)
    assert context["request_id"] == "mine"


def test_the_page_can_be_asked_for_without_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>Membrana</title>")
    app = FastAPI()
    serve_annotator(app, tmp_path)
    with TestClient(app) as client:
        whole, head = client.get("/"), client.head("/")
    assert head.status_code == whole.status_code == 200
    assert head.headers == whole.headers
    assert whole.text
    assert not head.content


def test_a_body_has_a_limit_before_anybody_is_asked_who_they_are(service: Service) -> None:
    del service.client.headers["Authorization"]
    password = "x" * LARGEST_BODY
    answer = service.client.post("/session", json={"username": "a", "password": password})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_body_without_a_length_has_the_same_limit(service: Service) -> None:
    pieces = (b" " * 65536 for _ in range(LARGEST_BODY // 65536 + 2))
    headers = {"Content-Type": "application/json"}
    answer = service.client.post("/users", content=pieces, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_body_that_comes_in_pieces_is_read_whole(service: Service) -> None:
    whole = b'{"username": "anna", "role": "viewer", "password": "correct horse battery"}'
    pieces = (whole[at : at + 7] for at in range(0, len(whole), 7))
    headers = {"Content-Type": "application/json"}
    answer = service.client.post("/users", content=pieces, headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize("text", ["\0", "a\0b"])
def test_a_nul_is_refused_and_never_an_error_of_ours(service: Service, text: str) -> None:
    client = service.client
    answers = [
        client.get("/jobs", params={"subject": text}),
        client.get("/slides/%00"),
        client.post("/tokens", json={"name": text}),
        client.post("/session", json={"username": text, "password": "x"}),
    ]
    assert [answer.status_code for answer in answers] == [400] * 4
    assert {answer.json()["code"] for answer in answers} == {"bad_request"}


def test_a_nul_escape_split_between_two_pieces_is_found(service: Service) -> None:
    pieces = iter([b'{"name": "\\u00', b'00"}'])
    headers = {"Content-Type": "application/json"}
    assert service.client.post("/tokens", content=pieces, headers=headers).status_code == 400


def test_a_lone_surrogate_and_a_wrong_type_are_the_callers_fault(service: Service) -> None:
    headers = {"Content-Type": "application/json"}
    for body in (b'{"name": "\\ud800"}', b'{"name": {}}', b"[" * 5000, b"\xff\xfe", b""):
        answer = service.client.post("/tokens", content=body, headers=headers)
        assert answer.status_code in {400, 422}, body
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_request_keeps_its_id(service: Service) -> None:
    mine = service.client.get("/health/live", headers={"X-Request-Id": "from-the-proxy.1"})
    assert mine.headers["X-Request-Id"] == "from-the-proxy.1"
    odd = service.client.get("/health/live", headers={"X-Request-Id": "no spaces\there"})
    assert odd.headers["X-Request-Id"] not in {"", "no spaces\there"}


def test_the_log_names_routes_and_no_ids(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="membrana.requests")
    service.client.get("/slides/secret-name-of-a-patient")
    service.client.get("/health/live")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("membrana")]
    assert len(lines) == 1, "what only reads and goes well is not logged"
    assert "{slide_id}" in lines[0]
    assert " 404 " in lines[0]
    assert "secret" not in lines[0]
