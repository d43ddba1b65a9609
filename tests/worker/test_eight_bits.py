"""Eight bits in the service: ranges frozen with the version, masks that can be made again."""

import json
from typing import Any

import pytest
import torch
from sqlalchemy import select

from backend.blob_names import blob_names
from backend.exchange.masks import contents
from backend.exchange.masks.manifest import Manifest
from backend.jobs import service as jobs
from backend.jobs.tables import Job, JobState
from backend.kit.db.session import Database
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelKind, ModelVersion, ModelVersionState
from backend.learning.predictions import service as predictions
from backend.learning.predictions.tables import Prediction, PredictionShard
from backend.learning.rounds import snapshot
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.patches.tables import PatchRole
from models.inference.calibration import Calibration
from models.inference.eight_bits import names_of
from models.networks import Ensemble, NetworkConfig, build, save_ensemble
from models.tiling import BLENDED
from tests.support.learning import Learning, add_slide, annotate_some
from worker import predictors
from worker.data import read_unlabelled
from worker.run import run_job

ONCE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
LEARNED = 5


class Laboratory(Learning):
    """Annotated slides, a version that learned from them, and the worker's code."""

    def version(self, *, seed: int = 0, of_snapshot: bool = True) -> str:
        """Add a version whose masks are not empty; return its id."""
        torch.manual_seed(seed)
        config = NetworkConfig()
        networks = [build(config) for _ in range(3)]
        for network in networks:
            network.train()(torch.randn(2, 3, 64, 64))
            with torch.no_grad():
                network.get_submodule("head").bias.zero_()
        path = self.settings.data / "model.safetensors"
        sha256 = save_ensemble(Ensemble(config, networks[0], tuple(networks[1:])), path)
        self.blobs.adopt(path, sha256)
        with self.database.writing() as session:
            learned = self.blobs.put(snapshot.take(session).document())
            version = ModelVersion(
                name=f"v{seed}",
                kind=ModelKind.EUGMT,
                state=ModelVersionState.CANDIDATE,
                weights_sha256=sha256,
                snapshot_sha256=learned if of_snapshot else None,
            )
            session.add(version)
            session.flush()
            return version.id

    def predict(self, slide_id: str, version_id: str, precision: str) -> Job:
        """Run a prediction as a worker does whose process has just started."""
        predictors.trained.cache_clear()
        with self.database.writing() as session:
            job_id = predictions.request(
                session, self.settings, slide_id, model_version_id=version_id
            ).id
        run_job(job_id, self.settings.model_copy(update={"inference_precision": precision}))
        with self.database.reading() as session:
            return jobs.get(session, job_id)

    def seen(self, slide_id: str, version_id: str) -> tuple[str | None, set[str | None]]:
        """Return a prediction's hash, and what computed it."""
        with self.database.reading() as session:
            prediction = session.scalars(
                select(Prediction).where(
                    Prediction.slide_id == slide_id, Prediction.model_version_id == version_id
                )
            ).one()
            shards = session.scalars(
                select(PredictionShard).where(PredictionShard.prediction_id == prediction.id)
            )
            return prediction.sha256, {shard.computed_by for shard in shards}

    def forget(self, slide_id: str) -> None:
        with self.database.writing() as session:
            predictions.forget(session, slides.get(session, slide_id), self.settings)

    def frozen(self, version_id: str) -> dict[str, Any]:
        with self.database.reading() as session:
            return model_versions.get(session, version_id).config["eight_bits"]  # type: ignore[no-any-return]


@pytest.fixture
def laboratory(settings: Settings, database: Database) -> Laboratory:
    return Laboratory(database, settings)


@pytest.fixture
def slide_id(laboratory: Laboratory) -> str:
    made = add_slide(laboratory.database, laboratory.settings, 1)
    annotate_some(laboratory.database, laboratory.settings, made, 1, training=LEARNED, gold=1)
    return made


def test_ranges_are_taken_once_and_the_same_masks_come_again(
    laboratory: Laboratory, slide_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    version_id = laboratory.version()
    assert laboratory.predict(slide_id, version_id, "int8").state == JobState.SUCCEEDED
    assert "v0 in int8: masks agree with f32 to a Dice of 0." in caplog.text
    frozen = laboratory.frozen(version_id)
    calibration = Calibration.from_document(laboratory.blobs.read(frozen["ranges_sha256"]))
    assert calibration.sha256 == frozen["ranges_sha256"]
    assert calibration.weights_sha256 == frozen["weights_sha256"]
    # every other one of those it learned from
    with laboratory.database.reading() as session:
        learned = snapshot.take(session).of_role(PatchRole.TRAINING)[::2]
    images = read_unlabelled(laboratory.database, laboratory.settings, learned, lambda: None)
    assert calibration.patches_sha256 == names_of(images)
    assert len(images) == 3
    first, by = laboratory.seen(slide_id, version_id)
    (words,) = by
    assert words is not None
    assert words.endswith(f" int8 of ranges {calibration.sha256[:12]}, {BLENDED.name}")
    # another process takes nothing anew
    caplog.clear()
    laboratory.forget(slide_id)
    laboratory.predict(slide_id, version_id, "int8")
    assert laboratory.seen(slide_id, version_id) == (first, by)
    assert "in int8" not in caplog.text
    with laboratory.database.reading() as session:
        assert frozen["ranges_sha256"] in blob_names(session), "no sweep takes the ranges"
    laboratory.forget(slide_id)
    laboratory.predict(slide_id, version_id, "f32")
    plain, by = laboratory.seen(slide_id, version_id)
    assert plain != first
    assert laboratory.frozen(version_id) == frozen


@ONCE
def test_an_export_says_in_which_precision_its_proposals_are(
    laboratory: Laboratory, slide_id: str
) -> None:
    version_id = laboratory.version()
    laboratory.predict(slide_id, version_id, "mixed")
    with laboratory.database.reading() as session:
        found = contents.of_slide(session, slide_id, with_proposals=True)
    said = json.loads(b"".join(Manifest(found, "png", 0.25).pieces()))
    (words,) = laboratory.seen(slide_id, version_id)[1]
    assert said["proposals"]["computed_by"] == [words]
    assert " mixed of ranges " in str(words)


@ONCE
def test_of_two_workers_ranges_the_first_ones_stay(laboratory: Laboratory, slide_id: str) -> None:
    version_id = laboratory.version()

    def freeze(ranges: str, weights: str = "w") -> str:
        with laboratory.database.writing() as session:
            return model_versions.freeze_ranges(
                session, version_id, weights_sha256=weights, ranges_sha256=ranges, costs={}
            )

    assert freeze("a") == "a"
    assert freeze("b") == "a"
    # a round that was run again ended in other weights
    assert freeze("c", "other") == "c"


@ONCE
def test_without_patches_to_name_there_are_no_eight_bits(
    laboratory: Laboratory, slide_id: str
) -> None:
    version_id = laboratory.version(of_snapshot=False)
    job = laboratory.predict(slide_id, version_id, "int8")
    assert (job.state, (job.problem or {})["code"]) == (JobState.FAILED, "ranges_missing")
    assert "MEMBRANA_INFERENCE_PRECISION" in (job.problem or {})["detail"]


@ONCE
def test_one_patch_is_too_few(laboratory: Laboratory) -> None:
    slide_id = add_slide(laboratory.database, laboratory.settings, 1)
    annotate_some(laboratory.database, laboratory.settings, slide_id, 1, training=1, gold=1)
    job = laboratory.predict(slide_id, laboratory.version(), "int8")
    assert (job.state, (job.problem or {})["code"]) == (JobState.FAILED, "too_few_patches")
