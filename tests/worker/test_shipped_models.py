"""What an installation proposes with before anything was trained in it."""

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelKind, ModelVersion, ModelVersionState
from backend.settings import Settings
from models import starter
from models.cold_start import ColdStart
from worker.predictors import cold_start_version, predictor_for
from worker.shipped_models import register_shipped

STARTER = starter.shipped().name


class Installation:
    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings
        self.blobs = Blobs(settings.blob_folder)


@pytest.fixture(autouse=True)
def starter_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBRANA_FIRST_MODEL", "starter")


def states(database: Database) -> dict[str, str]:
    with database.reading() as session:
        return {each.name: str(each.state) for each in session.scalars(select(ModelVersion))}


@pytest.mark.parametrize(("first", "other"), [(STARTER, "cold-start"), ("cold-start", STARTER)])
def test_a_new_installation_begins_with_the_model_that_is_set(
    database: Database, settings: Settings, first: str, other: str
) -> None:
    choice = "starter" if first == STARTER else first
    register_shipped(database, settings.model_copy(update={"first_model": choice}))
    assert states(database) == {first: "active", other: "candidate"}


def test_the_starter_is_what_is_set_by_default() -> None:
    assert Settings.model_fields["first_model"].default == "starter"


def test_workers_that_start_together_register_each_once(
    database: Database, settings: Settings
) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: register_shipped(database, settings), range(6)))
    assert states(database) == {STARTER: "active", "cold-start": "candidate"}


def test_an_upgraded_installation_keeps_what_proposes(
    database: Database, settings: Settings
) -> None:
    """One that was begun before there was a starter, with and without a round of its own."""
    with database.writing() as session:
        model_versions.ensure_shipped(session, cold_start_version(Blobs(settings.blob_folder)))
    register_shipped(database, settings)
    assert states(database) == {"cold-start": "active", STARTER: "candidate"}
    with database.writing() as session:
        cold = model_versions.active(session)
        own = model_versions.begin_training(
            session, preset="eugmt-plus", parent_id=cold.id, snapshot_sha256="0" * 64, config={}
        )
        model_versions.finish_training(
            session, own.id, weights_sha256="1" * 64, threshold=0.5, metrics={}, config={}
        )
        model_versions.make_active(session, own)
        # the starter is no round's: the first one trained here is the first
        assert own.name == "eugmt-plus-0001"
    register_shipped(database, settings)
    assert states(database) == {
        "cold-start": "retired",
        STARTER: "candidate",
        "eugmt-plus-0001": "active",
    }


def test_a_damaged_package_begins_with_the_cold_start_and_says_so(
    database: Database,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damaged = tmp_path / "starter"
    shutil.copytree(Path(str(starter.FOLDER)), damaged)
    weights = damaged / starter.WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    monkeypatch.setattr(starter, "FOLDER", damaged)
    with caplog.at_level(logging.WARNING):
        register_shipped(database, settings)
    assert states(database) == {"cold-start": "active"}
    assert "install the package again" in caplog.text


def test_the_version_says_where_it_comes_from(database: Database, settings: Settings) -> None:
    register_shipped(database, settings)
    with database.reading() as session:
        version = model_versions.active(session)
    assert (version.kind, version.state) == (ModelKind.EUGMT, ModelVersionState.ACTIVE)
    assert version.weights_sha256 == starter.shipped().sha256
    assert version.config["card"] == starter.shipped().card
    assert version.config["training"]["network"]["architecture"] == "unet-small"
    assert version.threshold == starter.shipped().card["threshold"]
    assert version.note == starter.shipped().card["summary"]


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_the_starter_predicts_real_membranes(
    database: Database, settings: Settings, shared_data: Path, precision: str
) -> None:
    """In eight bits, too, though no patch of this installation gave ranges. The crops are of a
    case whose pixels taught nothing; the figures are in docs/starter.md."""
    register_shipped(database, settings)
    here = Installation(
        database, settings.model_copy(update={"inference_precision": precision, "threads": 1})
    )
    with database.reading() as session:
        predictor = predictor_for(here, model_versions.active(session))
    folder = shared_data / "her2_membrane_traced"
    names = ("eze10_4_01", "eze10_5_01")
    images, masks, open_ = (
        np.stack([pixels_of(folder / kind / f"{name}.png") for name in names])
        for kind in ("images", "masks", "ignore")
    )
    # its weights carry its threshold: what it predicts is cut at one half
    ours = dice(predictor(images).probability >= 0.5, masks > 0, open_ == 0)
    theirs = dice(ColdStart()(images).probability >= 0.5, masks > 0, open_ == 0)
    assert ours > theirs
    assert ours > 0.70


def pixels_of(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path))


def dice(proposed: np.ndarray, truth: np.ndarray, decided: np.ndarray) -> float:
    hit = (proposed & truth & decided).sum()
    return float(2 * hit / ((proposed & decided).sum() + (truth & decided).sum()))
