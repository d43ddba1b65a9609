"""The cleanup's sweep over a whole installation: what anything needs stays, what a deleted slide
left goes, and an upload that comes in the same moment loses nothing."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.blob_names import SILENT
from backend.job_kinds import JobKind
from backend.jobs.tables import JobState
from backend.kit.db.base import now
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.leftovers import pyramid_key
from backend.slides.catalogue.tables import Slide
from backend.slides.uploads import service as uploads
from backend.tables import Base
from tests.conftest import Service
from tests.support.intake import encoded, ingested
from tests.support.learning import add_slide, annotate_some
from tests.support.ready import patches_of, put, some_mask
from tests.support.scoring import REPORT, computed, slide_with_tumour
from tests.worker.test_cleanup import clean_up

SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
SCORE = (JobKind.SCORE,)


def age(folder: Path) -> None:
    """Make everything below a folder two days old."""
    then = (now() - timedelta(days=2)).timestamp()
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))


def swept(service: Service) -> set[str]:
    for folder in (
        service.settings.blob_folder,
        service.settings.slide_folder,
        service.settings.pyramid_folder,
    ):
        folder.mkdir(exist_ok=True)
        age(folder)
    clean_up(service.database, service.settings)
    return set(service.blobs)


def look(service: Service, address: str, **query: Any) -> bytes:
    answer = service.client.get(address, params=query)
    assert answer.status_code == 200, answer.text
    return answer.content


@SQLITE
def test_all_that_a_report_a_score_and_a_mask_need_stays(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    patch_id = str(patches_of(service.client, slide_id)[5]["id"])
    put(service.client, patch_id, some_mask()).raise_for_status()
    said = {"cytoplasm_obscures": True}
    service.client.put(f"/slides/{slide_id}/score", json=said).raise_for_status()
    service.run_jobs(SCORE)
    report_id = computed(service, slide_id)
    whole = {"x": 0, "y": 0, "width": 1024, "height": 1024}
    addresses: list[tuple[str, dict[str, int]]] = [
        (f"/patches/{patch_id}/annotation.png", {}),
        (f"/slides/{slide_id}/regions", {}),
        (f"/slides/{slide_id}/score", {}),
        (f"/slides/{slide_id}/cells", whole),
        *((f"/reports/{report_id}.{ending}", {}) for ending in ("json", "html", "csv")),
    ]
    before = [look(service, address, **query) for address, query in addresses]
    service.blobs.put(b"nothing names this")
    kept = swept(service)
    assert [look(service, address, **query) for address, query in addresses] == before
    job = service.client.post(f"/reports/{report_id}/verify").raise_for_status().json()
    service.run_jobs(REPORT)
    assert service.client.get(f"/jobs/{job['id']}").json()["state"] == JobState.SUCCEEDED
    # a change is measured from what was kept of the time before
    put(service.client, patch_id, some_mask(1), if_match='"r1"').raise_for_status()
    service.run_jobs(SCORE)
    assert service.client.get(f"/slides/{slide_id}/score").json()["state"] == "current"
    assert not any(service.blobs.read(name) == b"nothing names this" for name in kept)


@SQLITE
def test_a_round_that_waits_finds_all_it_froze(service: Service) -> None:
    slide_id = add_slide(service.database, service.settings, 1)
    annotate_some(service.database, service.settings, slide_id, 1, 3, 3)
    started = service.client.post("/rounds").raise_for_status().json()["round"]
    swept(service)
    service.run_jobs((JobKind.TRAIN,))
    ended = service.client.get(f"/rounds/{started['id']}").json()
    assert ended["state"] in {"promoted", "kept_back"}, ended
    weights = {
        each["weights_sha256"] for each in service.client.get("/model-versions").json()["items"]
    }
    assert weights <= swept(service)


def test_a_deleted_slide_leaves_no_mask_and_no_report(service: Service) -> None:
    start = set(service.blobs)
    slide_id = slide_with_tumour(service)
    patch_id = str(patches_of(service.client, slide_id)[5]["id"])
    put(service.client, patch_id, some_mask()).raise_for_status()
    if service.settings.sqlalchemy_url.startswith("sqlite"):
        computed(service, slide_id)
    assert swept(service) > start
    service.client.delete(f"/slides/{slide_id}").raise_for_status()
    assert swept(service) == start
    assert not any(service.settings.pyramid_folder.iterdir())


def test_every_table_that_is_passed_over_is_there() -> None:
    assert set(Base.metadata.tables) >= SILENT


@pytest.fixture
def field() -> np.ndarray:
    return np.random.default_rng(1).integers(150, 250, (300, 300, 3), np.uint8)


def slide_of(service: Service, sha256: str) -> Slide:
    with service.database.reading() as session:
        return session.query(Slide).filter(Slide.sha256 == sha256).one()


def test_a_file_that_comes_again_while_it_is_deleted_stays(
    service: Service, field: np.ndarray
) -> None:
    """The row of the second upload is there before the files of the first are taken away."""
    content = encoded(field, "PNG")
    sha256 = ingested(service, content, mpp="0.25")["sha256"]
    first = slide_of(service, sha256)
    service.client.delete(f"/slides/{first.id}").raise_for_status()
    again = ingested(service, content, mpp="0.25")
    slides.remove_files(first, service.settings)
    assert service.blobs.has(sha256)
    assert (service.settings.slide_folder / pyramid_key(sha256)).is_file()
    look(service, f"/slides/{again['id']}/thumbnail.jpeg")


def test_a_deletion_between_the_bytes_and_the_row_of_an_upload_loses_nothing(
    service: Service, field: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(field, "PNG")
    sha256 = ingested(service, content, mpp="0.25")["sha256"]
    first = slide_of(service, sha256)
    lock = uploads.alone
    deleted: list[str] = []

    def delete_first(session: Any, name: str) -> None:
        """Have the deletion win the lock: it is whole before this upload goes on."""
        if not deleted:
            deleted.append(name)
            service.blobs.delete(sha256)
        lock(session, name)

    with service.database.writing() as session:
        session.delete(session.get_one(Slide, first.id))
    monkeypatch.setattr(uploads, "alone", delete_first)
    again = ingested(service, content, mpp="0.25")
    assert deleted == [sha256]
    assert again["id"] != first.id
    assert service.blobs.has(sha256)


@SQLITE
def test_what_a_killed_process_left_of_a_slide_goes(service: Service, field: np.ndarray) -> None:
    sha256 = ingested(service, encoded(field, "PNG"), mpp="0.25")["sha256"]
    folder = service.settings.slide_folder
    lost = "5" * 64
    (folder / ".half.tif.1.draft").write_bytes(b"x")
    for unpacked in (folder / ".abc", folder / lost, service.settings.pyramid_folder / lost):
        unpacked.mkdir(parents=True)
        (unpacked / "file").write_bytes(b"x")
    for key in (f"{lost}.tif", pyramid_key(lost)):
        (folder / key).write_bytes(b"x")
    swept(service)
    assert {path.name for path in folder.iterdir()} == {pyramid_key(sha256)}
    assert not (service.settings.pyramid_folder / lost).exists()
