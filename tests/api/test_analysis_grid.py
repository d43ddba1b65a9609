"""The grid is the installation's for good: another MEMBRANA_ANALYSIS_MPP is refused in words."""

import os
import subprocess
import sys

import pytest
from alembic import command
from sqlalchemy import MetaData, delete, select

from backend.embedded import up
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import JobState
from backend.kit.db.migrate import config
from backend.kit.errors import Conflict
from backend.settings import Settings, get_settings
from backend.slides.catalogue.tables import Slide, SlideState
from backend.slides.patches.installed_grid import require_at_start
from backend.slides.patches.tables import AnalysisGrid
from backend.slides.reading.tiles import top_level
from tests.conftest import Service
from tests.support.ready import patches_of, pixels, predicted_slide, put, ready_slide, some_mask
from worker.run import run_job

ONCE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def changed(service: Service, mpp: float = 0.5) -> Settings:
    return service.settings.model_copy(update={"analysis_mpp": mpp})


def grid(service: Service) -> float | None:
    with service.database.reading() as session:
        found = session.get(AnalysisGrid, 1)
        return found and found.mpp


def ingest(service: Service, slide_id: str, settings: Settings) -> Slide:
    """Ingest a slide anew, by a worker with these settings."""
    with service.database.writing() as session:
        session.get_one(Slide, slide_id).state = SlideState.UPLOADED
        job_id = jobs.enqueue(session, service.settings, JobKind.INGEST, slide_id).id
    run_job(job_id, settings)
    with service.database.reading() as session:
        return session.get_one(Slide, slide_id)


def test_the_first_patches_decide_and_others_are_refused(service: Service) -> None:
    slide_id = ready_slide(service)
    with service.database.writing() as session:
        session.execute(delete(AnalysisGrid))
    assert ingest(service, slide_id, service.settings).state == SlideState.READY
    assert grid(service) == 0.25
    refused = ingest(service, slide_id, changed(service))
    assert refused.state == SlideState.FAILED
    assert refused.problem is not None
    assert refused.problem["code"] == "analysis_mpp_changed"
    assert "0.25" in refused.problem["detail"]
    assert grid(service) == 0.25


@ONCE
def test_no_worker_reads_old_masks_with_shifted_pixels(service: Service) -> None:
    slide_id = ready_slide(service)
    asked = service.client.post(f"/slides/{slide_id}/predictions", json={}).json()
    run_job(asked["id"], changed(service))
    job = service.client.get(f"/jobs/{asked['id']}").json()
    assert (job["state"], job["problem"]["code"]) == (JobState.FAILED, "analysis_mpp_changed")


@ONCE
def test_a_patch_shows_the_same_pixels_whatever_the_setting(service: Service) -> None:
    patch = patches_of(service.client, ready_slide(service))[-1]
    before = service.client.get(f"/patches/{patch['id']}/image.png")
    service.client.app.state.settings = changed(service)  # type: ignore[attr-defined]
    after = service.client.get(f"/patches/{patch['id']}/image.png")
    assert before.status_code == after.status_code == 200
    assert (before.content, before.headers["ETag"]) == (after.content, after.headers["ETag"])


@ONCE
@pytest.mark.parametrize("kind", ["probability", "annotation"])
def test_overlays_stay_where_the_patches_are_whatever_the_setting(
    service: Service, kind: str
) -> None:
    slide_id = predicted_slide(service)
    patch = patches_of(service.client, slide_id, order="position")[-1]
    put(service.client, patch["id"], some_mask()).raise_for_status()
    url = f"/slides/{slide_id}/overlays/{kind}_files/{top_level(768, 512)}/2_1.png"
    before = service.client.get(url)
    service.client.app.state.settings = changed(service)  # type: ignore[attr-defined]
    after = service.client.get(url)
    assert pixels(before).any()
    assert (before.content, before.headers["ETag"]) == (after.content, after.headers["ETag"])


@ONCE
def test_nothing_starts_beside_patches_of_another_grid(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_at_start(service.database, 0.5)
    ready_slide(service)
    with pytest.raises(Conflict) as refused:
        up(changed(service), demo=False)
    assert refused.value.problem_code == "analysis_mpp_changed"
    for command_line in (["api"], ["worker", "cpu"]):
        done = subprocess.run(
            [sys.executable, "-m", "backend.cli", *command_line],
            env={**os.environ, "MEMBRANA_ANALYSIS_MPP": "0.5"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        assert "(analysis_mpp_changed)" in done.stderr
        assert "0.25" in done.stderr


def test_the_migration_keeps_what_the_patches_say(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older data folder whose setting was changed before the upgrade is known by its patches."""
    ready_slide(service, mpp=0.2273)
    command.downgrade(config(), "0008")
    command.upgrade(config(), "head")
    assert grid(service) == 0.25
    command.downgrade(config(), "0008")
    monkeypatch.setenv("MEMBRANA_ANALYSIS_MPP", "0.5")
    get_settings.cache_clear()
    command.upgrade(config(), "head")
    assert grid(service) == 0.25
    monkeypatch.undo()


@ONCE
def test_the_migration_refuses_slides_of_two_grids(service: Service) -> None:
    ready_slide(service)
    command.downgrade(config(), "0008")
    add_twin_of_old(service)
    with pytest.raises(Conflict, match=r"0\.25, 0\.5") as refused:
        command.upgrade(config(), "head")
    assert refused.value.problem_code == "analysis_mpp_mixed"


def add_twin_of_old(service: Service) -> None:
    """Add a slide of another grid with a patch, in the tables as they were then."""
    with service.database.writing() as session:
        tables = MetaData()
        tables.reflect(session.connection(), only=["slides", "patches"])
        slides, patches = tables.tables["slides"], tables.tables["patches"]
        slide = dict(session.execute(select(slides)).mappings().one())
        patch = dict(session.execute(select(patches).limit(1)).mappings().one())
        twin = {"id": "b", "sha256": "b" * 64, "mpp": 0.25}
        session.execute(slides.update().values(mpp=0.5))
        session.execute(slides.insert().values(slide | twin))
        placed = {"id": "b", "slide_id": "b", "size0": 256}
        session.execute(patches.insert().values(patch | placed))
