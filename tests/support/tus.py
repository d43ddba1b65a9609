"""A tus client of a few lines: announce, send, ask."""

import base64
from pathlib import Path

import httpx
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.conftest import Service

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


def encoded(**words: str) -> str:
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in words.items()
    )


def announce(client: TestClient, length: int, **headers: str) -> httpx.Response:
    return client.post("/uploads", headers={**TUS, "Upload-Length": str(length), **headers})


def begin(client: TestClient, length: int, **headers: str) -> str:
    answer = announce(client, length, **headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"].startswith("/api/v1/uploads/")
    return answer.headers["Location"].removeprefix("/api/v1")


def send(
    client: TestClient, place: str, offset: int, content: bytes, **headers: str
) -> httpx.Response:
    every = {**BYTES, "Upload-Offset": str(offset), **headers}
    return client.patch(place, content=content, headers=every)


def offset(client: TestClient, place: str) -> int:
    answer = client.head(place, headers=TUS)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return int(answer.headers["Upload-Offset"])


def part_files(service: Service) -> list[Path]:
    """The files that hold bytes of uploads."""
    files = service.settings.upload_folder.glob("*")
    return [path for path in files if path.suffix != ".metadata"]


def app_of(service: Service) -> FastAPI:
    return service.client.app
