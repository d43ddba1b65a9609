"""Every address with every kind of nonsense: an answer below 500, always a problem document."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend.events import routes as stream
from tests.conftest import Service
from tests.support.ready import ready_slide, request

WORDS = (
    "x",
    "-1",
    "1e400",
    "NaN",
    "é\u202e",
    "..%2F..%2Fetc%2Fpasswd",
    "01a20806-2ff7-76cf-a071-a7de044d4d42",
    "9" * 40,
    "a" * 3000,
    "' OR 1=1 --",
    "[]",
)
BODIES: tuple[Any, ...] = (
    None,
    [],
    "x",
    {},
    {"mpp": 1e308},
    {"mpp": "NaN"},
    {"box": {"x": -1e300, "y": 10**40, "width": 0, "height": -1}},
    {"verdict": "approved", "comment": "x" * 100_000},
    {"role": "god", "active": "perhaps", "name": "é" * 200},
    {"model_version_id": "9" * 40, "slide_id": "a" * 3000},
)
HEADERS = {
    "If-Match": ('"r0"', "*", "r" * 500, '"r99999999999999999999999"', "é"),
    "If-None-Match": ("*", '"', "é"),
    "Idempotency-Key": ("k" * 5000, "é", " "),
    "Range": ("bytes=5-1", "bytes=-", "x"),
    "Upload-Offset": ("-1", "9" * 40, "x", "é"),
    "Upload-Length": ("-1", "9" * 40, "x", "0", "é"),
    "Upload-Metadata": (
        "filename",
        "filename !!",
        "filename AA==",
        "filename Lg==",
        "mpp eA==",
        "é",
    ),
    "Upload-Checksum": ("md5", "sha256 x", "sha1 !!", "é"),
    "Content-Type": ("image/png", "multipart/form-data", "multipart/form-data; boundary=", "x"),
}
AT_THE_DOOR = {
    "X-Request-Id": ("é", " "),
    "Authorization": ("Bearer", "Bearer é", "Basic x", "x"),
    "Cookie": ("membrana_session=é", "membrana_session=", "="),
}
Asked = tuple[str, str, dict[str, Any]]
Nonsense = Callable[[Service, dict[str, str]], Iterator[Asked]]


def operations(service: Service) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """Yield method, address and the names of the parameters in it and behind it."""
    for path, methods in service.client.get("/openapi.json").json()["paths"].items():
        for method, told in methods.items():
            names = told.get("parameters", [])
            inside = [each["name"] for each in names if each["in"] == "path"]
            behind = [each["name"] for each in names if each["in"] == "query"]
            yield method.upper(), path.removeprefix("/api/v1"), inside, behind


def filled(path: str, words: dict[str, str]) -> str:
    for name, word in words.items():
        path = path.replace(f"{{{name}}}", word)
    return path


def strange_addresses(service: Service, real: dict[str, str]) -> Iterator[Asked]:
    """Put nonsense in the address; then a real thing in it and nonsense behind it."""
    for method, path, inside, behind in operations(service):
        for word in WORDS if inside else ():
            yield method, filled(path, dict.fromkeys(inside, word)), {}
        for word in WORDS if method != "DELETE" else ():
            known = {name: real.get(name, word) for name in inside}
            yield method, filled(path, known), {"params": dict.fromkeys(behind, word)}


def strange_bodies(service: Service, real: dict[str, str]) -> Iterator[Asked]:
    for method, path, inside, _ in operations(service):
        if method in {"POST", "PUT", "PATCH"}:
            known = {name: real.get(name, "0") for name in inside}
            for body in BODIES:
                yield method, filled(path, known), {"json": body}


def strange_headers(service: Service, real: dict[str, str]) -> Iterator[Asked]:
    for method, path, inside, _ in operations(service):
        known = {name: real.get(name, "0") for name in inside}
        changing = method in {"POST", "PUT", "PATCH"}
        strange = HEADERS if changing else AT_THE_DOOR if path == "/slides" else {}
        for name, values in strange.items():
            for value in values:
                headers = {"Tus-Resumable": "1.0.0", name: value.encode("latin-1")}
                yield method, filled(path, known), {"headers": headers, "content": b"x"}


@pytest.fixture
def real(service: Service) -> dict[str, str]:
    """A thing of each kind that is there, by its name in addresses."""
    client = service.client
    slide_id = ready_slide(service)
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "100", "Upload-Metadata": "filename eA=="}
    upload = client.post("/uploads", headers=tus).raise_for_status()
    return {
        "slide_id": slide_id,
        "patch_id": client.get(f"/slides/{slide_id}/patches").json()["items"][0]["id"],
        "job_id": request(service, slide_id),
        "model_version_id": client.get("/model-versions").json()["items"][0]["id"],
        "upload_id": upload.headers["Location"].rsplit("/", 1)[1],
    }


@pytest.mark.parametrize("nonsense", [strange_addresses, strange_bodies, strange_headers])
def test_nonsense_is_never_our_error(
    service: Service, real: dict[str, str], monkeypatch: pytest.MonkeyPatch, nonsense: Nonsense
) -> None:
    monkeypatch.setattr(stream, "LIFE_SECONDS", 0.0)
    wrong = []
    for method, path, more in nonsense(service, real):
        answer = service.client.request(method, path, **more)
        expected = 503 if path == "/health/ready" else 0
        if answer.status_code >= 500 and answer.status_code != expected:
            wrong.append((method, path[:80], more, answer.text[:200]))
        if answer.status_code >= 400 and method != "HEAD":
            kind = answer.headers["content-type"]
            assert kind == "application/problem+json", (method, path, answer.status_code, kind)
            assert answer.json()["code"].replace("_", "").isalnum(), answer.json()
    assert not wrong


def test_a_body_nested_too_deep_has_a_code_and_a_sentence(
    service: Service, real: dict[str, str]
) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    headers = {"Content-Type": "application/json"}
    place = f"/slides/{real['slide_id']}/regions"
    answer = service.client.post(place, content=deep, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.json()["type"].startswith("urn:membrana:problem:")
    assert answer.json()["code"] in {"body_unreadable", "invalid_request", "unprocessable"}
