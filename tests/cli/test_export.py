"""`membrana export` and `membrana predict --box` against a real API, and a worker's code."""

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image
from sqlalchemy import select

from backend.job_kinds import JobKind
from backend.jobs.tables import Job, JobState
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings
from models.phantom import PhantomSpec, write
from tests.cli.conftest import Membrana
from tests.support.dicom_slide import dicom_file
from tests.support.installation import Installation, finished, until
from tests.support.ready import png, some_mask
from tests.support.rows import add_slide
from worker.predictors import register_cold_start
from worker.run import run_job


@pytest.fixture(scope="module")
def settings_of_served(served: Installation) -> Settings:
    return Settings(data=served.data, database_url="", threads=1)


@pytest.fixture(scope="module")
def rows(settings_of_served: Settings) -> Iterator[Database]:
    found = Database(settings_of_served.sqlalchemy_url)
    with found.writing() as session:
        register_cold_start(session, Blobs(settings_of_served.blob_folder))
    yield found
    found.dispose()


@pytest.fixture(scope="module")
def worker(rows: Database, settings_of_served: Settings) -> Iterator[None]:
    """Take jobs as a worker does, in a thread of this process."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.1):
            with rows.reading() as session:
                queued = session.scalars(
                    select(Job.id).where(
                        Job.state == JobState.QUEUED,
                        Job.kind.in_((JobKind.INGEST, JobKind.EXPORT)),
                    )
                ).all()
            for job_id in queued:
                run_job(job_id, settings_of_served)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.fixture(scope="module")
def slide_id(
    rows: Database, settings_of_served: Settings, tmp_path_factory: pytest.TempPathFactory
) -> str:
    path = tmp_path_factory.mktemp("export") / "phantom.tif"
    write(PhantomSpec(width=512, height=512, seed=21), path)
    return add_slide(rows, settings_of_served, path, size=(512, 512), mpp=0.25)


def annotate(served: Installation, slide_id: str) -> None:
    """Draw a mask onto the slide's first patch."""
    with served.client() as client:
        patches = client.get(f"/slides/{slide_id}/patches", params={"order": "position"}).json()
        client.put(
            f"/patches/{patches['items'][0]['id']}/annotation",
            content=png(some_mask()),
            headers={"If-Match": '"r0"', "Content-Type": "image/png"},
        ).raise_for_status()


def test_nothing_to_export_is_a_sentence_and_leaves_no_file(
    remote: Membrana, slide_id: str, tmp_path: Path
) -> None:
    said = remote("export", slide_id, "--format", "png", "-o", str(tmp_path / "masks.zip"))
    assert (said.code, said.out) == (1, "")
    assert said.err.endswith("(nothing_to_export)\n")
    assert list(tmp_path.iterdir()) == []


def test_masks_are_written_to_a_file(
    remote: Membrana, served: Installation, slide_id: str, tmp_path: Path
) -> None:
    annotate(served, slide_id)
    target = tmp_path / "masks.zip"
    said = remote("export", slide_id, "--format", "png", "-o", str(target))
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told["sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    with ZipFile(target) as archive:
        [name] = [each for each in archive.namelist() if each.endswith(".png")]
        mask = np.array(Image.open(io.BytesIO(archive.read(name))))
    np.testing.assert_array_equal(mask, some_mask())
    for kind in ("coco", "ome-zarr"):
        assert remote("export", slide_id, "--format", kind, "-o", str(target)).code == 0
        with ZipFile(target) as archive:
            assert "manifest.json" in archive.namelist()
    drawn = tmp_path / "masks.geojson"
    assert remote("export", slide_id, "-o", str(drawn)).code == 0, "QuPath's if nothing is said"
    features = json.loads(drawn.read_text())["features"]
    assert {each["properties"]["objectType"] for each in features} == {"annotation"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks.geojson", "masks.zip"]


@pytest.mark.usefixtures("worker")
def test_a_segmentation_is_waited_for(
    remote: Membrana, served: Installation, tmp_path: Path
) -> None:
    added = remote("slides", "upload", str(dicom_file(512, 512)))
    assert added.code == 0, added.err
    slide_id = added.out.split()[0]
    with served.client() as client:
        until(finished(client, f"/slides/{slide_id}", {"ready"}), "the slide", 60)
    annotate(served, slide_id)
    target = tmp_path / "masks.dcm"
    said = remote("export", slide_id, "--format", "dicom-seg", "-o", str(target))
    assert said.code == 0, said.err
    assert pydicom.dcmread(target).Modality == "SEG"


def test_wrong_words_are_wrong_use(remote: Membrana, slide_id: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for words in (
        ("export", slide_id, "--format", "tiff", "-o", out),
        ("export", slide_id, "--proposals", "-o", out),
        ("export", slide_id, "--format", "png", "-o", str(tmp_path / "none" / "out")),
        ("export", slide_id, "--format", "png", "-o", str(tmp_path)),
        ("export", slide_id, "--format", "png"),
        ("predict", slide_id, "--box", "1,2,3"),
        ("predict", slide_id, "--box", "1,2,3,wide"),
        ("predict", slide_id, "--box", "1,2,3,nan"),
    ):
        said = remote(*words)
        assert (said.code, said.out) == (2, ""), words
    unknown = remote("export", "none", "-o", out)
    assert unknown.code == 1
    assert "(slide_not_found)" in unknown.err


def test_a_box_is_predicted_before_the_slide(
    remote: Membrana, served: Installation, slide_id: str
) -> None:
    asked = remote("predict", slide_id, "--box", "10,20,100,200")
    assert asked.code == 0, asked.err
    with served.client() as client:
        job = client.get(f"/jobs/{asked.out.strip()}").json()
    assert job["kind"] == "predict_viewport"
    assert job["subject"].startswith(slide_id)
    outside = remote("predict", slide_id, "--box", "9000,9000,10,10")
    assert outside.code == 1
    assert outside.err.endswith("(box_outside)\n")
    nothing = remote("predict", slide_id, "--box", "0,0,0,10")
    assert nothing.code == 1
    assert nothing.err.endswith("(invalid)\n")
    whole = remote("predict", slide_id)
    with served.client() as client:
        assert client.get(f"/jobs/{whole.out.strip()}").json()["kind"] == "predict"


def test_a_line_that_breaks_leaves_no_half_file(
    remote: Membrana, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Broken(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=Pieces())

    class Pieces(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"the first half"
            raise httpx.RemoteProtocolError("the peer is gone")

    whole = httpx.Client.__init__
    monkeypatch.setattr(
        httpx.Client,
        "__init__",
        lambda self, **options: whole(self, **options, transport=Broken()),
    )
    said = remote("export", "any", "-o", str(tmp_path / "masks.geojson"))
    assert (said.code, said.out) == (1, "")
    assert said.err.endswith("(broken_off)\n")
    assert list(tmp_path.iterdir()) == []
