"""tus 1.0.0 and multipart: interrupted, resumed, doubled, too large, expired, hostile."""

import asyncio
import base64
import hashlib
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from starlette.testclient import TestClient

from backend.auth.tables import Role
from backend.db.base import now
from backend.settings import Settings
from backend.uploads import service as uploads
from backend.uploads.receiving import exclusive, upload_path
from backend.uploads.tables import Upload
from tests.conftest import Service

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def small(shared_data: Path) -> bytes:
    return (shared_data / "wsi_vendor" / "small.svs").read_bytes()


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
    return list(service.settings.upload_folder.glob("*"))


def test_the_service_says_what_of_tus_it_speaks(service: Service) -> None:
    answer = service.client.options("/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "checksum",
        "expiration",
        "termination",
    }
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256,md5"
    assert int(answer.headers["Tus-Max-Size"]) == service.settings.max_upload_bytes


def test_another_version_of_tus_is_refused(service: Service) -> None:
    answer = service.client.post("/uploads", headers={"Upload-Length": "5"})
    assert (answer.status_code, answer.json()["code"]) == (412, "tus_version")
    assert answer.headers["Tus-Version"] == "1.0.0"


def test_an_interrupted_upload_goes_on_and_becomes_a_slide(service: Service, small: bytes) -> None:
    words = encoded(filename="C:\\scans\\Ähre.svs", stain="HER2", case_id="K-7")
    place = begin(service.client, len(small), **{"Upload-Metadata": words})
    assert offset(service.client, place) == 0
    first = send(service.client, place, 0, small[:1000])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "1000")
    assert "Slide-Id" not in first.headers
    assert "GMT" in first.headers["Upload-Expires"]

    # the reply was lost, so the client asks where it stands
    assert offset(service.client, place) == 1000
    stale = send(service.client, place, 0, small[:1000])
    assert (stale.status_code, stale.json()["code"]) == (409, "upload_offset")
    assert stale.headers["Tus-Resumable"] == "1.0.0"

    last = send(service.client, place, 1000, small[1000:])
    assert last.status_code == 204
    slide = service.client.get(f"/slides/{last.headers['Slide-Id']}").json()
    assert slide["sha256"] == hashlib.sha256(small).hexdigest()
    assert (slide["name"], slide["case_id"], slide["state"]) == ("Ähre.svs", "K-7", "uploaded")
    seen = service.client.get(place).json()
    assert (seen["state"], seen["slide_id"]) == ("consumed", slide["id"])
    assert service.client.head(place, headers=TUS).headers["Slide-Id"] == slide["id"]
    assert part_files(service) == []
    assert service.blobs.read(slide["sha256"]) == small


def test_a_broken_line_keeps_what_came(service: Service, small: bytes) -> None:
    place = begin(service.client, len(small))
    heard = iter(
        [
            {"type": "http.request", "body": small[:700], "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def hear() -> dict[str, object]:
        return next(heard)

    async def say(message: dict[str, object]) -> None:
        assert message.get("status", 400) == 400

    headers = {
        **BYTES,
        "Upload-Offset": "0",
        "Authorization": service.client.headers["Authorization"],
    }
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "PATCH",
        "path": f"/api/v1{place}",
        "query_string": b"",
        "headers": [(key.lower().encode(), value.encode()) for key, value in headers.items()],
    }
    asyncio.run(app_of(service)(scope, hear, say))
    assert offset(service.client, place) == 700
    assert send(service.client, place, 700, small[700:]).headers["Slide-Id"]


def test_bytes_may_come_with_the_announcement(service: Service, small: bytes) -> None:
    headers = {**BYTES, "Upload-Length": str(len(small))}
    part = service.client.post("/uploads", content=small[:500], headers=headers)
    assert (part.status_code, part.headers["Upload-Offset"]) == (201, "500")
    whole = service.client.post("/uploads", content=small, headers=headers)
    assert whole.status_code == 201
    assert whole.headers["Slide-Id"]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_a_checksum_guards_each_part(service: Service, small: bytes, algorithm: str) -> None:
    place = begin(service.client, len(small))
    good = base64.b64encode(hashlib.new(algorithm, small[:900]).digest()).decode()
    wrong = send(
        service.client, place, 0, small[1:901], **{"Upload-Checksum": f"{algorithm} {good}"}
    )
    assert (wrong.status_code, wrong.json()["code"]) == (460, "checksum_mismatch")
    assert offset(service.client, place) == 0
    right = send(
        service.client, place, 0, small[:900], **{"Upload-Checksum": f"{algorithm} {good}"}
    )
    assert right.headers["Upload-Offset"] == "900"
    end = send(service.client, place, 900, small[900:])
    slide = service.client.get(f"/slides/{end.headers['Slide-Id']}").json()
    assert slide["sha256"] == hashlib.sha256(small).hexdigest()


def test_headers_that_say_nothing_are_refused(service: Service) -> None:
    place = begin(service.client, 10)
    unknown = send(service.client, place, 0, b"x", **{"Upload-Checksum": "crc32 AAAA"})
    assert (unknown.status_code, unknown.json()["code"]) == (400, "checksum_algorithm")
    for value in ("-1", "ten", "１", "9" * 30, ""):
        answer = service.client.post(
            "/uploads",
            headers={**TUS, "Upload-Length": value.encode()},  # type: ignore[dict-item]
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "tus_header")
    broken = announce(service.client, 5, **{"Upload-Metadata": "filename %%%"})
    assert (broken.status_code, broken.json()["code"]) == (400, "tus_header")
    plain = service.client.patch(place, content=b"x", headers={**TUS, "Upload-Offset": "0"})
    assert plain.status_code == 415


def test_more_bytes_than_announced_are_refused_and_change_nothing(service: Service) -> None:
    place = begin(service.client, 10)
    answer = send(service.client, place, 0, b"x" * 11)
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert offset(service.client, place) == 0


def test_a_file_above_the_limit_is_refused_before_it_is_sent(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = service.settings.model_copy(update={"max_upload_bytes": 100})
    monkeypatch.setitem(app_of(service).state._state, "settings", limited)
    answer = announce(service.client, 101)
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    form = service.client.post("/slides", files={"file": ("a.svs", b"x" * 200_000)})
    assert (form.status_code, form.json()["code"]) == (413, "upload_too_large")
    chunked = service.client.post("/slides", **streamed(b"x" * 200))
    assert (chunked.status_code, chunked.json()["code"]) == (413, "upload_too_large")
    assert part_files(service) == []


def streamed(content: bytes) -> dict[str, object]:
    """A form whose length nobody announces."""

    def body() -> Iterator[bytes]:
        yield b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        yield content
        yield b"\r\n--edge--\r\n"

    return {
        "content": body(),
        "headers": {"Content-Type": "multipart/form-data; boundary=edge"},
    }


def app_of(service: Service) -> FastAPI:
    return service.client.app


def full(service: Service, monkeypatch: pytest.MonkeyPatch) -> Settings:
    reserve = shutil.disk_usage(service.data).free + (1 << 30)
    settings = service.settings.model_copy(update={"free_space_reserve_bytes": reserve})
    monkeypatch.setitem(app_of(service).state._state, "settings", settings)
    return settings


def test_a_full_disk_is_said_and_nothing_is_lost(
    service: Service, small: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = begin(service.client, len(small))
    send(service.client, place, 0, small[:100])
    with monkeypatch.context() as patch:
        full(service, patch)
        for answer in (
            announce(service.client, 10),
            send(service.client, place, 100, small[100:]),
            service.client.post("/slides", files={"file": ("a.svs", small)}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (507, "no_space")
    assert offset(service.client, place) == 100
    assert send(service.client, place, 100, small[100:]).headers["Slide-Id"]


def test_room_is_promised_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(service.data).free
    reserve = free - (200 << 20)
    settings = service.settings.model_copy(update={"free_space_reserve_bytes": reserve})
    monkeypatch.setitem(app_of(service).state._state, "settings", settings)
    begin(service.client, 150 << 20)
    assert announce(service.client, 150 << 20).status_code == 507


def test_an_upload_can_be_ended(service: Service, small: bytes) -> None:
    place = begin(service.client, len(small))
    send(service.client, place, 0, small[:100])
    assert service.client.delete(place, headers=TUS).status_code == 204
    assert part_files(service) == []
    assert service.client.head(place, headers=TUS).status_code == 410
    assert send(service.client, place, 100, small[100:]).json()["code"] == "upload_gone"


def test_an_abandoned_upload_expires_with_its_bytes(service: Service, small: bytes) -> None:
    place = begin(service.client, len(small))
    kept = begin(service.client, len(small))
    send(service.client, place, 0, small[:100])
    send(service.client, kept, 0, small[:100])
    overdue = {"expires_at": now() - timedelta(seconds=1)}
    with service.database.writing() as session:
        session.execute(
            update(Upload).where(Upload.id == place.rsplit("/", 1)[1]).values(**overdue)
        )
    assert send(service.client, place, 100, small[100:]).status_code == 410
    with service.database.writing() as session:
        uploads.expire(session, service.settings)
    assert [path.stem for path in part_files(service)] == [kept.rsplit("/", 1)[1]]
    assert offset(service.client, kept) == 100


def test_an_upload_is_its_owners(service: Service, small: bytes) -> None:
    mine, other = service.client_of(Role.PATHOLOGIST), service.client_of(Role.PATHOLOGIST)
    place = begin(mine, len(small))
    assert other.head(place, headers=TUS).status_code == 404
    assert send(other, place, 0, small).json()["code"] == "upload_not_found"
    assert other.delete(place, headers=TUS).status_code == 404
    assert announce(service.client_of(Role.VIEWER), 10).status_code == 403


def test_two_writers_of_one_upload_do_not_mix(service: Service, small: bytes) -> None:
    place = begin(service.client, len(small))
    path = upload_path(service.settings, place.rsplit("/", 1)[1])
    with exclusive(path):
        answer = send(service.client, place, 0, small)
        assert (answer.status_code, answer.json()["code"]) == (423, "upload_locked")
    assert send(service.client, place, 0, small).headers["Slide-Id"]


def test_the_same_bytes_sent_at_once_are_one_slide(service: Service, small: bytes) -> None:
    barrier = threading.Barrier(4)
    clients = [service.client_of(Role.PATHOLOGIST) for _ in range(4)]

    def post(client: TestClient) -> httpx.Response:
        barrier.wait()
        return client.post("/slides", files={"file": ("a.svs", small)})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(post, clients))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert service.blobs.read(answers[0].json()["sha256"]) == small
    assert part_files(service) == []


def test_a_crash_before_the_slide_was_written_is_made_good(service: Service, small: bytes) -> None:
    place = begin(service.client, len(small))
    send(service.client, place, 0, small[:-1])
    upload_id = place.rsplit("/", 1)[1]
    path = service.settings.upload_folder / f"{upload_id}.part"
    path.write_bytes(small)
    with service.database.writing() as session:
        uploads.advance(session, service.settings, upload_id, len(small) - 1, len(small))
    answer = service.client.head(place, headers=TUS)
    assert answer.headers["Upload-Offset"] == str(len(small))
    slide_id = answer.headers["Slide-Id"]
    assert service.client.get(f"/slides/{slide_id}").json()["state"] == "uploaded"


def test_the_same_bytes_are_the_same_slide(service: Service, small: bytes) -> None:
    first = service.client.post("/slides", files={"file": ("a.svs", small)})
    assert first.status_code == 201
    again = service.client.post("/slides", files={"file": ("other name.tif", small)})
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert again.headers["Slide-Duplicate"] == "true"
    place = begin(service.client, len(small))
    resumed = send(service.client, place, 0, small)
    assert resumed.headers["Slide-Id"] == first.json()["id"]
    assert resumed.headers["Slide-Duplicate"] == "true"
    assert len(service.queued()) == 1
    assert len(list(service.blobs)) >= 1
    assert part_files(service) == []


def test_a_form_carries_stain_case_and_pixel_size(service: Service, small: bytes) -> None:
    form = {"stain": "HER2", "case_id": "K-7", "mpp": "0.5"}
    slide = service.client.post("/slides", files={"file": ("a.svs", small)}, data=form).json()
    assert (slide["case_id"], slide["mpp"], slide["mpp_source"]) == ("K-7", 0.5, "person")
    wrong = service.client.post("/slides", files={"file": ("b.svs", small)}, data={"mpp": "250"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")
    assert "micrometres" in wrong.json()["detail"]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"", 415),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"not a form at all", 400),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken", 400),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="stain"\r\n\r\nHER2\r\n--x--\r\n',
            400,
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf',
            400,
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=" + b"y" * 10_000 + b"\r\n\r\n",
            400,
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="stain"\r\n\r\n' + b"y" * 5000,
            400,
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="s"\r\n\r\n1\r\n' * 20 + b"--x--\r\n",
            400,
        ),
    ],
)
def test_malformed_forms_leave_nothing_behind(
    service: Service, kind: str, body: bytes, status: int
) -> None:
    answer = service.client.post("/slides", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert part_files(service) == []


def test_what_is_refused_at_the_end_is_forgotten(service: Service) -> None:
    page = b"<html>not found</html>"
    place = begin(service.client, len(page))
    answer = send(service.client, place, 0, page)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_an_image")
    assert service.client.head(place, headers=TUS).status_code == 410
    assert part_files(service) == []
    assert announce(service.client, 0).json()["code"] == "empty_file"
    nothing = service.client.post("/slides", files={"file": ("a.svs", b"")})
    assert (nothing.status_code, nothing.json()["code"]) == (422, "empty_file")
