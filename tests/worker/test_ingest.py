"""Ingest survives its worker and finds the same patches every time."""

from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image
from sqlalchemy import select

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job, JobState
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.leftovers import pyramid_key
from backend.slides.catalogue.tables import Slide, SlideState
from backend.slides.patches.tables import Patch
from backend.slides.reading import formats
from backend.slides.reading.formats import ImageTooLarge
from models.phantom import PhantomSpec, write
from tests.conftest import Service
from tests.support.ready import code
from tests.worker.test_conversion import bomb
from worker.context import JobContext, LeaseLost
from worker.handlers import ingest
from worker.layout import layout_of
from worker.plain_pictures import open_picture

Places = list[tuple[int, int, float, float, float]]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phantom") / "phantom.tif"
    write(PhantomSpec(width=2500, height=2048, seed=3), path, threads=2)
    return path


def uploaded(service: Service, path: Path) -> str:
    answer = service.client.post("/slides", files={"file": ("a.tif", path.read_bytes())})
    found: str = answer.json()["id"]
    return found


def row(service: Service, slide_id: str) -> Slide:
    with service.database.reading() as session:
        return slides.get(session, slide_id)


def places(service: Service, slide_id: str) -> Places:
    with service.database.reading() as session:
        found = session.scalars(
            select(Patch).where(Patch.slide_id == slide_id).order_by(Patch.row, Patch.column)
        )
        return [(p.row, p.column, p.x0, p.y0, p.tissue_fraction) for p in found]


def claimed(service: Service, slide_id: str, owner: str) -> JobContext:
    with service.database.writing() as session:
        job_id = session.scalar(
            select(Job.id).where(Job.subject == slide_id, Job.state == JobState.QUEUED)
        )
        assert job_id is not None
        job = jobs.claim(session, job_id, owner=owner, lease_seconds=60)
    assert job is not None
    return JobContext(job, owner=owner, database=service.database, settings=service.settings)


def lost(service: Service, job_id: str) -> None:
    """The worker is dead and its lease is over."""
    with service.database.writing() as session:
        job = session.get_one(Job, job_id)
        job.state, job.owner, job.lease_until = JobState.QUEUED, None, None


def test_a_phantom_becomes_patches_of_its_tissue(service: Service, phantom: Path) -> None:
    slide_id = uploaded(service, phantom)
    service.run_jobs((JobKind.INGEST,))
    slide = row(service, slide_id)
    assert (slide.state, slide.synthetic, slide.mpp) == (SlideState.READY, True, 0.25)
    found = places(service, slide_id)
    assert slide.patch_count == len(found)
    assert 10 < len(found) <= 80
    assert all((x, y) == (column * 256, row_ * 256) for row_, column, x, y, _ in found)
    assert slide.white_point is not None
    assert min(slide.white_point) > 200


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_killed_ingest_ends_as_an_undisturbed_one(
    service: Service, phantom: Path, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "BATCH", 9)
    slide_id = uploaded(service, phantom)
    dying = claimed(service, slide_id, "dying")

    class Killed(BaseException):
        pass

    batches = 0
    plain = dying.progress

    def kill(fraction: float, message: str = "") -> None:
        nonlocal batches
        if message == "Writing patches":
            if batches == written:
                raise Killed
            batches += 1
        plain(fraction, message)

    monkeypatch.setattr(dying, "progress", kill)
    with pytest.raises(Killed):
        ingest.run(dying)
    before = places(service, slide_id)
    assert len(before) == 9 * (written + 1)
    assert row(service, slide_id).state == SlideState.INGESTING
    lost(service, dying.job_id)
    service.run_jobs((JobKind.INGEST,))
    after = places(service, slide_id)
    assert row(service, slide_id).state == SlideState.READY
    assert row(service, slide_id).patch_count == len(after)
    assert len({place[:2] for place in after}) == len(after)
    assert set(before) <= set(after)
    # the one that was thought dead wakes up: it can write nothing
    with pytest.raises(LeaseLost):
        ingest.run(dying)
    assert places(service, slide_id) == after


def test_patches_of_another_grid_go_when_a_slide_is_ingested_again(
    service: Service, phantom: Path
) -> None:
    slide_id = uploaded(service, phantom)
    first = claimed(service, slide_id, "first")
    ingest.begin(first)
    with service.database.writing() as session:
        session.add(
            Patch(slide_id=slide_id, row=0, column=0, x0=0, y0=0, size0=999, tissue_fraction=1)
        )
    lost(service, first.job_id)
    service.run_jobs((JobKind.INGEST,))
    with service.database.reading() as session:
        sizes = session.scalars(select(Patch.size0).where(Patch.slide_id == slide_id)).all()
    assert set(sizes) == {256.0}


def test_a_slide_deleted_while_it_is_read_ends_its_job(service: Service, phantom: Path) -> None:
    slide_id = uploaded(service, phantom)
    running = claimed(service, slide_id, "slow")
    assert service.client.delete(f"/slides/{slide_id}").status_code == 204
    with pytest.raises(slides.SlideNotFound):
        ingest.run(running)
    with service.database.writing() as session:
        jobs.fail(
            session,
            service.settings,
            running.job_id,
            owner="slow",
            problem={"code": "slide_not_found", "detail": "x"},
            state=JobState.FAILED,
        )
    assert service.client.get("/slides").json()["items"] == []


def test_a_file_gone_from_the_disk_fails_with_its_code(service: Service, phantom: Path) -> None:
    slide_id = uploaded(service, phantom)
    service.blobs.delete(row(service, slide_id).sha256)
    service.run_jobs((JobKind.INGEST,))
    slide = row(service, slide_id)
    assert (slide.state, slide.problem and slide.problem["code"]) == ("failed", "blob_missing")
    # the same bytes sent again make it good
    assert uploaded(service, phantom) == slide_id
    service.run_jobs((JobKind.INGEST,))
    assert row(service, slide_id).state == SlideState.READY


def test_a_lost_pyramid_is_made_again(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "field.png"
    Image.fromarray(np.full((300, 300, 3), 90, np.uint8)).save(path)
    slide_id = uploaded(service, path)
    service.run_jobs((JobKind.INGEST,))
    derived = service.settings.slide_folder / pyramid_key(row(service, slide_id).sha256)
    derived.unlink()
    service.client.patch(f"/slides/{slide_id}", json={"mpp": 0.25})
    service.run_jobs((JobKind.INGEST,))
    assert row(service, slide_id).state == SlideState.READY
    assert derived.is_file()


def test_a_picture_with_too_many_pixels_is_refused_by_its_header(service: Service) -> None:
    """As it comes, since such a file used to be taken and held the worker for minutes."""
    # more than is converted; and not more, but nothing that anybody scanned
    for width, height in ((60_000, 80_000), (60_000, 60_000)):
        file = {"file": ("bomb.png", bomb(width, height))}
        answer = service.client.post("/slides", files=file)
        assert code(answer) == (422, "image_too_large"), answer.text
    assert service.client.get("/slides").json()["items"] == []


def test_a_blank_picture_of_any_kind_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "FEW_PIXELS", 1_000_000)
    path = tmp_path / "blank.tif"
    blank = pyvips.Image.black(2000, 2000, bands=3)
    blank.tiffsave(str(path), compression="deflate", tile=True)
    with pytest.raises(ImageTooLarge, match="blank"):
        open_picture(path, layout_of(path), most_pixels=4_000_000_000)
