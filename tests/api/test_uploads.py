"""Files in one request or many: limits, room, duplicates, malformed forms."""

import io
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from python_multipart.multipart import MultipartParser
from sqlalchemy import event
from starlette.testclient import TestClient

from backend.job_kinds import JobKind
from backend.people.users.tables import Role
from backend.settings import Settings
from backend.slides.uploads import multipart, routes
from tests.backend.test_hostile_zips import packed
from tests.conftest import Service
from tests.support.tus import TUS, announce, app_of, begin, encoded, offset, part_files, send


@pytest.fixture
def small(shared_data: Path) -> bytes:
    return (shared_data / "wsi_vendor" / "small.svs").read_bytes()


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


def streamed(*pieces: bytes) -> dict[str, Any]:
    """A form whose length nobody announces."""

    def body() -> Iterator[bytes]:
        yield b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        yield from pieces
        yield b"\r\n--edge--\r\n"

    return {
        "content": body(),
        "headers": {"Content-Type": "multipart/form-data; boundary=edge"},
    }


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


def test_a_form_of_unknown_length_is_held_to_the_room_there_is(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(service, monkeypatch)
    answer = service.client.post("/slides", **streamed(b"x" * 200))
    assert (answer.status_code, answer.json()["code"]) == (507, "no_space")
    assert part_files(service) == []


def test_room_is_looked_at_again_while_a_form_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(multipart, "ROOM_BYTES", 3 << 20)
    form = multipart.FileForm(io.BytesIO(), 1 << 30, asked.append)
    parser = MultipartParser(b"edge", form.callbacks())
    for piece in streamed(*[b"x" * (1 << 20)] * 10)["content"]:
        parser.write(piece)
    assert form.size == 10 << 20
    assert asked == [3 << 20] * 3


def test_a_disk_that_fills_up_while_a_file_comes_is_said(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "part").symlink_to("/dev/full")
    monkeypatch.setattr(routes, "upload_path", lambda *_: tmp_path / "part")
    answer = service.client.post("/slides", files={"file": ("a.svs", b"x" * 100_000)})
    assert (answer.status_code, answer.json()["code"]) == (507, "no_space")


def test_a_database_without_room_is_said(service: Service) -> None:
    if service.database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's disk can't be filled from here")

    @event.listens_for(service.database.engine, "checkout")
    def no_more_pages(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA max_page_count=1")

    for _ in range(200):
        answer = service.client.post("/tokens", json={"name": "x" * 100})
        if answer.status_code != 201:
            break
    assert (answer.status_code, answer.json()["code"]) == (507, "no_space")


def test_room_is_promised_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(service.data).free
    reserve = free - (200 << 20)
    settings = service.settings.model_copy(update={"free_space_reserve_bytes": reserve})
    monkeypatch.setitem(app_of(service).state._state, "settings", settings)
    begin(service.client, 150 << 20)
    assert announce(service.client, 150 << 20).status_code == 507


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


def test_a_damaged_zip_is_refused_by_tus_and_forgotten(service: Service) -> None:
    whole = packed("lzma")
    at = whole.index(b"a/Slidedat.ini") + len("a/Slidedat.ini") + 8
    broken = whole[:at] + bytes(8) + whole[at + 8 :]
    place = begin(service.client, len(broken))
    answer = send(service.client, place, 0, broken)
    assert (answer.status_code, answer.json()["code"]) == (422, "archive_unreadable")
    assert service.client.head(place, headers=TUS).status_code == 410
    assert part_files(service) == []


def test_a_duplicate_says_what_became_of_its_words(service: Service, small: bytes) -> None:
    """Nobody's case or stain is changed by another upload, and none is dropped in silence."""
    first = service.client.post("/slides", files={"file": ("a.svs", small)}).json()
    assert first["duplicate"] is None
    other = service.client_of(Role.PATHOLOGIST)
    form = {"case_id": "K-7", "stain": "ER", "mpp": "0.5"}
    answer = other.post("/slides", files={"file": ("b.svs", small)}, data=form)
    assert (answer.status_code, answer.json()["id"]) == (200, first["id"])
    assert (answer.json()["case_id"], answer.json()["stain"]) == ("K-7", "HER2")
    told = answer.json()["duplicate"]
    assert told["taken"] == [{"field": "case_id", "sent": "K-7", "slide": "K-7"}]
    assert told["kept"] == [
        {"field": "name", "sent": "b.svs", "slide": "a.svs"},
        {"field": "stain", "sent": "ER", "slide": "HER2"},
        {"field": "mpp", "sent": 0.5, "slide": None},
    ]
    assert "here already, as “a.svs”" in told["detail"]
    assert "stain stays “HER2”; “ER” was not taken" in told["detail"]
    assert "case is now “K-7”" in told["detail"]
    place = begin(service.client, len(small), **{"Upload-Metadata": encoded(case_id="K-8")})
    ended = send(service.client, place, 0, small)
    assert ended.headers["Slide-Duplicate"] == "true"
    upload = service.client.get(place).json()
    assert upload["duplicate"]["taken"] == []
    assert "case stays “K-7”; “K-8” was not taken" in upload["duplicate"]["detail"]
    asked_again = service.client.head(place, headers=TUS)
    assert asked_again.headers["Slide-Duplicate"] == "true"
    assert service.client.get(f"/slides/{first['id']}").json()["case_id"] == "K-7"
    entries = service.client_of(Role.ADMIN).get("/audit").json()["items"]
    changed = [each for each in entries if each["action"] == "slide.changed"]
    assert [each["details"]["fields"] for each in changed] == [["case_id"]]


def test_a_pixel_size_that_was_waited_for_is_told_as_taken(
    service: Service, shared_data: Path
) -> None:
    content = (shared_data / "wsi_her2" / "tma_0_nompp.svs").read_bytes()
    slide = service.client.post("/slides", files={"file": ("a.svs", content)}).json()
    service.run_jobs((JobKind.INGEST,))
    place = f"/slides/{slide['id']}"
    assert service.client.get(place).json()["state"] == "needs_mpp"
    answer = service.client.post("/slides", files={"file": ("a.svs", content)}, data={"mpp": "0.5"})
    told = answer.json()["duplicate"]
    assert told["taken"] == [{"field": "mpp", "sent": 0.5, "slide": 0.5}]
    assert "pixel size is now “0.5”" in told["detail"]
    assert told["kept"] == []
    service.run_jobs((JobKind.INGEST,))
    assert service.client.get(place).json()["mpp"] == 0.5


def test_the_same_words_again_are_not_told_as_dropped(service: Service, small: bytes) -> None:
    form = {"case_id": "K-7"}
    for _ in range(2):
        answer = service.client.post("/slides", files={"file": ("a.svs", small)}, data=form)
    told = answer.json()["duplicate"]
    assert (told["kept"], told["taken"]) == ([], [])
