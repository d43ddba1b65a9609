"""tus 1.0.0: interrupted, resumed, guarded, ended, expired."""

import asyncio
import base64
import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from backend.kit.db.base import now
from backend.kit.storage.blobs import file_sha256
from backend.people.users.tables import Role
from backend.slides.uploads import service as uploads
from backend.slides.uploads.hashing import MOST, RunningHashes, running
from backend.slides.uploads.receiving import exclusive, upload_path
from backend.slides.uploads.tables import Upload
from tests.conftest import Service
from tests.support.tus import BYTES, TUS, announce, app_of, begin, encoded, offset, part_files, send


@pytest.fixture
def small(shared_data: Path) -> bytes:
    return (shared_data / "wsi_vendor" / "small.svs").read_bytes()


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


def test_what_was_said_of_a_file_is_said_again_to_the_letter(
    service: Service, small: bytes
) -> None:
    words = f"is_confidential, {encoded(filename='a b.svs', other='ü')}"
    place = begin(service.client, len(small), **{"Upload-Metadata": words})
    plain = begin(service.client, 10)
    assert service.client.head(place, headers=TUS).headers["Upload-Metadata"] == words
    assert "Upload-Metadata" not in service.client.head(plain, headers=TUS).headers
    send(service.client, place, 0, small)
    assert service.client.head(place, headers=TUS).headers["Upload-Metadata"] == words


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


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"Upload-Concat": "partial", "Upload-Length": "10"}, "concatenation"),
        ({"Upload-Concat": "final;/api/v1/uploads/a /api/v1/uploads/b"}, "concatenation"),
        ({"Upload-Defer-Length": "1"}, "creation-defer-length"),
    ],
)
def test_an_extension_that_is_not_spoken_is_refused_at_creation(
    service: Service, asked: dict[str, str], named: str
) -> None:
    """A part must not become a slide of its own."""
    answer = service.client.post("/uploads", headers={**TUS, **asked})
    assert (answer.status_code, answer.json()["code"]) == (400, "tus_extension")
    assert named in answer.json()["detail"]
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert part_files(service) == []


@pytest.fixture
def read_again(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read for their hash after they had come."""
    seen: list[Path] = []

    def told(path: Path) -> str:
        seen.append(path)
        return file_sha256(path)

    monkeypatch.setattr(uploads, "file_sha256", told)
    return seen


def sha256_of(service: Service, slide_id: str) -> str:
    return str(service.client.get(f"/slides/{slide_id}").json()["sha256"])


def test_a_file_is_hashed_while_it_comes(
    service: Service, small: bytes, read_again: list[Path]
) -> None:
    """A whole slide was read a second time at its end, while its sender waited."""
    place = begin(service.client, len(small))
    send(service.client, place, 0, small[:900])
    wrong = base64.b64encode(bytes(20)).decode()
    refused = send(service.client, place, 900, small[900:], **{"Upload-Checksum": f"sha1 {wrong}"})
    assert refused.status_code == 460
    send(service.client, place, 900, small[900:1300])
    done = send(service.client, place, 1300, small[1300:])
    assert sha256_of(service, done.headers["Slide-Id"]) == hashlib.sha256(small).hexdigest()
    form = {"file": ("another.tif", small + b"\0")}
    slide = service.client.post("/slides", files=form).json()
    assert slide["sha256"] == hashlib.sha256(small + b"\0").hexdigest()
    assert read_again == []


def test_after_a_restart_the_file_is_read_for_its_hash(
    service: Service, small: bytes, read_again: list[Path]
) -> None:
    """The state of a hash lives in one process; what another took, this one does not know."""
    place = begin(service.client, len(small))
    send(service.client, place, 0, small[:900])
    running.forget()
    done = send(service.client, place, 900, small[900:])
    assert sha256_of(service, done.headers["Slide-Id"]) == hashlib.sha256(small).hexdigest()
    assert len(read_again) == 1


def test_the_state_of_a_hash_is_of_an_offset() -> None:
    states = RunningHashes()
    first = states.at("a", 0)
    first.update(b"abc")
    states.keep("a", 3, first)
    first.update(b"lost with the line")
    assert states.at("a", 3).hexdigest() == hashlib.sha256(b"abc").hexdigest()
    assert states.at("a", 2).hexdigest() is None, "another process came further, or less far"
    assert states.at("b", 3).hexdigest() is None
    for number in range(MOST):
        states.keep(str(number), 1, states.at(str(number), 0))
    assert states.at("a", 3).hexdigest() is None
