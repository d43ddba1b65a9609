"""One prediction of a slide: service, viewport and command line have the same bits."""

import signal
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import openslide
import psutil
import pytest
import tifffile
import torch
from PIL import Image
from sqlalchemy import select, update

from backend.jobs.tables import Job, JobState
from backend.kit.geometry import Region0
from backend.kit.storage.pyramids import Channel
from backend.learning.model_versions.tables import ModelKind, ModelVersion, ModelVersionState
from backend.learning.predictions import service as predictions
from backend.learning.predictions.tables import Prediction, PredictionShard
from backend.settings import get_settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from backend.supervision import Child, worker_command
from models.cold_start import ColdStart
from models.her2.pixels import Field
from models.networks import Ensemble, NetworkConfig, build, save_ensemble
from models.prediction import Predictor
from tests.conftest import Service
from tests.support.installation import until
from tests.support.ready import PREDICT, phantom, ready_slide, request
from tests.support.rows import add_slide
from tests.worker.test_predict import damaged, state
from worker.commands.weights import drawing, predicted

SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
CORE = "wsi_her2/tma_3plus.svs"
VIEW = Region0(2300, 100, 50, 50)


@pytest.fixture
def core(shared_data: Path, tmp_path: Path) -> Path:
    """A real core's middle, 2,500 × 1,200 px: two shards, six tiles, borders on all sides."""
    path = tmp_path / "core.tif"
    with openslide.OpenSlide(shared_data / CORE) as whole:
        cut = np.asarray(whole.read_region((1500, 2100), 0, (2500, 1200)))[..., :3]
    tifffile.imwrite(path, cut, tile=(256, 256), photometric="rgb")
    return path


def network(service: Service, folder: Path) -> tuple[str, Path]:
    """Return a version whose masks are not empty, and its weights."""
    torch.manual_seed(0)
    config = NetworkConfig("unet-small")
    networks = [build(config) for _ in range(2)]
    for each in networks:
        each.train()(torch.randn(2, 3, 64, 64))
        with torch.no_grad():
            each.get_submodule("head").bias.zero_()
    path = folder / "lively.safetensors"
    sha256 = save_ensemble(Ensemble(config, networks[0], (networks[1],)), path)
    service.blobs.put(path.read_bytes())
    version = ModelVersion(
        name="lively",
        kind=ModelKind.EUGMT,
        state=ModelVersionState.CANDIDATE,
        weights_sha256=sha256,
        config={},
    )
    with service.database.writing() as session:
        session.add(version)
        session.flush()
        return version.id, path


def stored(service: Service, slide_id: str) -> np.ndarray:
    """Return the probability of a slide as the service keeps it, 0-255."""
    with service.database.reading() as session:
        prediction = predictions.shown(session, slide_id)
        slide = slides.get(session, slide_id)
        assert prediction is not None
        pyramid = predictions.pyramid_of(slide, prediction, service.settings)
    return pyramid.read(0, 0, 0, pyramid.size, [Channel.PROBABILITY])[0]


@SQLITE
@pytest.mark.parametrize("mpp", [0.25, 0.22, 0.31])
@pytest.mark.parametrize("trained", [False, True], ids=["stain rule", "network"])
def test_a_real_core_has_one_prediction(
    service: Service, core: Path, tmp_path: Path, mpp: float, *, trained: bool
) -> None:
    """Whatever its pixel size, asked for as a whole or the right part first."""
    slide_id = add_slide(service.database, service.settings, core, size=(2500, 1200), mpp=mpp)
    version_id, weights = network(service, tmp_path) if trained else (None, None)
    request(service, slide_id, model_version_id=version_id, box=VIEW)
    service.run_jobs(PREDICT)
    request(service, slide_id, model_version_id=version_id)
    service.run_jobs(PREDICT)
    picture = np.asarray(Image.open(core))
    predictor = drawing(weights).predictor if weights else ColdStart()
    likely = predicted(Field(picture, mpp), predictor).likely
    assert likely is not None
    assert (likely >= 128).any()
    np.testing.assert_array_equal(stored(service, slide_id), likely)


@SQLITE
@pytest.mark.parametrize("size", [(2090, 1030), (1025, 300), (200, 2049)])
def test_a_slide_that_ends_just_past_a_tile_is_predicted_to_its_end(
    service: Service, size: tuple[int, int]
) -> None:
    """Where the last tile has a pixel or two, and the one before reaches over them."""
    width, height = size
    slide_id = ready_slide(service, width=width, height=height)
    request(service, slide_id)
    service.run_jobs(PREDICT)
    assert {patch[2] for patch in state(service, slide_id)["patches"]} == {"proposed"}
    picture = np.asarray(Image.open(phantom(width, height, 3)))[..., :3]
    likely = predicted(Field(picture, 0.25), ColdStart()).likely
    assert likely is not None
    np.testing.assert_array_equal(stored(service, slide_id), likely)


def pool_of(child: Child) -> list[psutil.Process]:
    assert child.process is not None
    return psutil.Process(child.process.pid).children(recursive=True)


def shards_of(service: Service) -> int:
    with service.database.reading() as session:
        return len(session.scalars(select(PredictionShard)).all())


@SQLITE
@pytest.mark.slow
def test_killed_and_gone_on_with_two_workers_it_is_the_same(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real workers: one is killed within the slide while another has a viewport of it."""
    for name, value in (
        ("LEASE_SECONDS", "3"),
        ("HEARTBEAT_SECONDS", "0.5"),
        ("REAPER_SECONDS", "0.5"),
        ("RING_AGAIN_SECONDS", "2"),
    ):
        monkeypatch.setenv(f"MEMBRANA_{name}", value)
    get_settings.cache_clear()
    slide_id = ready_slide(service, width=9216, height=600)
    with ExitStack() as stack:
        workers = [
            Child(f"worker of {queue}", worker_command(queue), service.data / f"{queue}.log")
            for queue in ("gpu", "interactive")
        ]
        for child in workers:
            child.watch()
            stack.callback(child.stop)
        jobs = [request(service, slide_id), request(service, slide_id, box=VIEW.moved(4000, 0))]
        until(lambda: shards_of(service) > 0, "the first shard")
        for process in pool_of(workers[0]):
            process.send_signal(signal.SIGKILL)

        def ended() -> bool:
            for child in workers:
                child.watch()
            with service.database.reading() as session:
                states = session.scalars(select(Job.state).where(Job.id.in_(jobs)))
                return set(states) == {JobState.SUCCEEDED}

        until(ended, "both jobs to end")
    after = state(service, slide_id)
    with service.database.writing() as session:
        predictions.forget(session, slides.get(session, slide_id), service.settings)
    request(service, slide_id)
    service.run_jobs(PREDICT)
    assert after == state(service, slide_id)


@SQLITE
def test_what_was_begun_edge_to_edge_begins_anew_and_what_was_finished_stays(
    service: Service,
) -> None:
    slide_id = ready_slide(service, width=2560, height=512)
    request(service, slide_id)
    service.run_jobs(PREDICT)
    blended = state(service, slide_id)
    old = ColdStart().backend

    def formerly(**finished: None) -> None:
        """Make the rows of a version of this service that knew no tiles."""
        with service.database.writing() as session:
            session.execute(update(PredictionShard).values(computed_by=old, sha256="0" * 64))
            if finished:
                session.execute(update(Prediction).values(**finished))

    formerly()
    request(service, slide_id)
    service.run_jobs(PREDICT)
    assert {each[2] for each in state(service, slide_id)["shards"]} == {"0" * 64}
    formerly(finished_at=None)
    request(service, slide_id)
    service.run_jobs(PREDICT)
    assert state(service, slide_id) == blended


@SQLITE
def test_beside_a_damaged_part_the_rest_is_predicted_on_its_own_pixels(
    service: Service, tmp_path: Path
) -> None:
    """A tile that can't be read whole is read patch by patch; what can't be is glass."""
    slide_id = ready_slide(service, width=2560, height=512)
    path = phantom(2560, 512, 3)
    content = damaged(path, 2)
    with service.database.writing() as session:
        sha256 = service.blobs.put(content)
        session.execute(update(Slide).where(Slide.id == slide_id).values(sha256=sha256))
    request(service, slide_id)
    service.run_jobs(PREDICT)
    marked = [patch[:2] for patch in state(service, slide_id)["patches"] if patch[3]]
    assert marked
    picture = np.asarray(Image.open(path))[..., :3].copy()
    for row, column in marked:
        picture[256 * row : 256 * (row + 1), 256 * column : 256 * (column + 1)] = 255
    predictor: Predictor = ColdStart()
    likely = predicted(Field(picture, 0.25), predictor).likely
    assert likely is not None
    for row, column in marked:
        likely[256 * row : 256 * (row + 1), 256 * column : 256 * (column + 1)] = 0
    np.testing.assert_array_equal(stored(service, slide_id), likely)
