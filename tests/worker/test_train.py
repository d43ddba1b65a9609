"""A round from its start to its verdict: honest on gold, exact after an interruption."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, event, select, update

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job, JobState
from backend.kit.db.base import now
from backend.kit.db.session import Database
from backend.kit.storage.blobs import file_sha256
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelKind, ModelVersion, ModelVersionState
from backend.learning.rounds import service as rounds
from backend.learning.rounds.lifecycle import training_folder
from backend.learning.rounds.snapshot import Snapshot
from backend.learning.rounds.tables import Round, RoundCurve, RoundState
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import PatchRole
from models.cold_start import ColdStart, ColdStartParameters
from models.metrics import Counts, compare
from models.networks import load_ensemble
from tests.support.learning import SIDE, Learning, add_slide, annotate, annotate_some
from worker.data import read_labelled
from worker.handlers.train import config_of
from worker.predictors import predictor_for, register_cold_start
from worker.run import run_job
from worker.shipped_models import register_shipped


class Laboratory(Learning):
    """A database with annotated slides, and the worker's code."""

    def start(self, **changes: Any) -> str:
        settings = self.settings.model_copy(update=changes)
        row, running = rounds.start(self.database, settings)
        assert not running
        return row.id

    def work(self, round_id: str) -> Round:
        """Run the round's job once, as a worker does."""
        run_job(self.round(round_id).job_id or "", self.settings)
        return self.round(round_id)

    def round(self, round_id: str) -> Round:
        with self.database.reading() as session:
            return rounds.get(session, round_id)

    def job(self, round_id: str) -> Job:
        with self.database.reading() as session:
            return jobs.get(session, self.round(round_id).job_id or "")

    def version(self, version_id: str | None) -> ModelVersion:
        with self.database.reading() as session:
            return model_versions.get(session, version_id or "")

    def active(self) -> ModelVersion:
        with self.database.reading() as session:
            return model_versions.active(session)

    def make_active(self, version_id: str | None) -> None:
        with self.database.writing() as session:
            version = model_versions.get(session, version_id or "")
            model_versions.switch(session, self.settings, version, requested_by=None)

    def add_blind_version(self) -> str:
        """Add a version that proposes nothing: the cold start with no eye for brown."""
        parameters = ColdStart(ColdStartParameters(brown_od=9.0)).parameters_json()
        with self.database.writing() as session:
            version = ModelVersion(
                name="blind",
                kind=ModelKind.COLD_START,
                state=ModelVersionState.CANDIDATE,
                weights_sha256=self.blobs.put(parameters),
            )
            session.add(version)
            session.flush()
            return version.id

    def curves(self, round_id: str) -> list[tuple[int, dict[str, float]]]:
        with self.database.reading() as session:
            rows = session.scalars(select(RoundCurve).where(RoundCurve.round_id == round_id))
            return sorted((row.step, row.values) for row in rows)


@pytest.fixture
def laboratory(database: Database, settings: Settings) -> Laboratory:
    laboratory = Laboratory(database, settings)
    with database.writing() as session:
        register_cold_start(session, laboratory.blobs)
    slide_id = add_slide(database, settings, 1)
    annotate_some(database, settings, slide_id, 1, 3, 3)
    return laboratory


@contextmanager
def at_step(step: int, action: Callable[[Connection], None]) -> Iterator[None]:
    """Let something happen in the very transaction that writes the curve of a step, once."""
    done = []

    def hook(_mapper: object, connection: Connection, row: RoundCurve) -> None:
        if row.step == step and not done:
            done.append(row.step)
            action(connection)

    event.listen(RoundCurve, "after_insert", hook)
    try:
        yield
    finally:
        event.remove(RoundCurve, "after_insert", hook)
    assert done, f"step {step} was not reached"


def test_a_model_that_is_worse_is_kept_back(laboratory: Laboratory) -> None:
    cold = laboratory.active()
    done = laboratory.work(laboratory.start(round_iterations=1))
    gold = done.metrics["gold"]
    assert gold["candidate"]["dice"] < gold["active"]["dice"]
    assert done.state == RoundState.KEPT_BACK
    assert f"{gold['candidate']['dice']:.4f}" in done.reason
    assert f"{gold['active']['dice']:.4f} for cold-start" in done.reason
    assert laboratory.active().id == cold.id
    version = laboratory.version(done.model_version_id)
    assert (version.name, version.state) == ("eugmt-plus-0001", ModelVersionState.CANDIDATE)
    assert version.parent_id == cold.id
    assert version.snapshot_sha256 == done.snapshot_sha256
    assert version.metrics == done.metrics
    assert version.weights_sha256 is not None
    assert file_sha256(laboratory.blobs.path(version.weights_sha256)) == version.weights_sha256
    assert version.config["training"]["iterations"] == 1
    assert version.config["torch"]
    assert laboratory.job(done.id).state == JobState.SUCCEEDED
    assert not training_folder(laboratory.settings, done.id).exists()
    with laboratory.database.reading() as session:
        assert not session.scalars(select(Job).where(Job.kind == JobKind.PREDICT)).all()


def test_a_model_that_is_not_worse_is_promoted_and_predicts(laboratory: Laboratory) -> None:
    laboratory.make_active(laboratory.add_blind_version())
    done = laboratory.work(laboratory.start(round_iterations=2))
    gold = done.metrics["gold"]
    assert done.state == RoundState.PROMOTED, done.reason
    assert gold["active"] == gold["active"] | {"name": "blind", "dice": 0.0}
    assert gold["candidate"]["dice"] >= 0
    assert laboratory.active().id == done.model_version_id
    assert not laboratory.active().config["warm_start"]
    with laboratory.database.reading() as session:
        subjects = session.scalars(select(Job.subject).where(Job.kind == JobKind.PREDICT)).all()
        blind = session.scalars(select(ModelVersion).where(ModelVersion.name == "blind")).one()
    assert blind.state == ModelVersionState.RETIRED
    assert sum((done.model_version_id or "") in subject for subject in subjects) == 1
    curves = laboratory.curves(done.id)
    assert [step for step, _ in curves] == [1, 2]
    assert all(np.isfinite(losses["total"]) for _, losses in curves)

    following = laboratory.work(laboratory.start(round_iterations=1))
    assert following.parent_model_version_id == done.model_version_id
    assert laboratory.version(following.model_version_id).config["warm_start"]


def test_gold_figures_are_those_of_the_stored_weights(laboratory: Laboratory) -> None:
    done = laboratory.work(laboratory.start(round_iterations=2))
    predictor = predictor_for(laboratory, laboratory.version(done.model_version_id))
    snapshot = Snapshot.from_document(laboratory.blobs.read(done.snapshot_sha256 or ""))
    gold = read_labelled(
        laboratory.database,
        laboratory.blobs,
        laboratory.settings,
        snapshot.of_role(PatchRole.GOLD),
        lambda: None,
    )
    membrane = predictor(gold.images).probability >= 0.5
    truth = gold.masks == 255
    dice = 2 * (membrane & truth).sum() / (membrane.sum() + truth.sum())
    shown = done.metrics["gold"]["candidate"]
    assert shown["dice"] == pytest.approx(dice, abs=1e-12)
    assert shown["patches"] == 3
    assert [each["dice"] for each in shown["by_slide"]] == [shown["dice"]]


def lose_the_lease(connection: Connection) -> None:
    """Do what a reaper does to a worker that was killed: its job is somebody else's to take."""
    connection.execute(
        update(Job)
        .where(Job.kind == JobKind.TRAIN, Job.state == JobState.RUNNING)
        .values(owner="gone", lease_until=now() - timedelta(seconds=1))
    )


def test_an_interrupted_round_ends_in_the_same_weights(
    laboratory: Laboratory, settings: Settings
) -> None:
    undisturbed = laboratory.work(laboratory.start(round_iterations=4, round_seed=5))
    assert undisturbed.state == RoundState.KEPT_BACK

    round_id = laboratory.start(round_iterations=4, round_seed=5)
    with at_step(3, lose_the_lease):
        left = laboratory.work(round_id)
    assert left.state == RoundState.TRAINING
    assert (training_folder(settings, round_id) / "checkpoint.pt").is_file()
    # people go on meanwhile: nothing of that may reach this round
    with laboratory.database.reading() as session:
        slide_id = session.scalars(select(Slide.id)).one()
    blank = np.zeros((256, 256), np.uint8)
    for index in range((SIDE // 256) ** 2):
        annotate(
            laboratory.database,
            settings,
            slide_id,
            divmod(index, SIDE // 256),
            PatchRole.TRAINING,
            blank,
        )
    with laboratory.database.writing() as session:
        for lost in jobs.lost(session):
            jobs.recover(session, settings, lost)
    resumed = laboratory.work(round_id)

    assert laboratory.job(round_id).attempts == 2
    assert resumed.state == undisturbed.state
    assert resumed.metrics == undisturbed.metrics
    assert laboratory.curves(round_id) == laboratory.curves(undisturbed.id)
    versions = [laboratory.version(each.model_version_id) for each in (undisturbed, resumed)]
    assert versions[0].weights_sha256 == versions[1].weights_sha256
    assert not training_folder(settings, round_id).exists()
    with laboratory.database.reading() as session:
        assert len(session.scalars(select(ModelVersion)).all()) == 3


def test_cancelling_abandons_the_round_and_its_version(laboratory: Laboratory) -> None:
    cold = laboratory.active()
    round_id = laboratory.start()

    def cancel(connection: Connection) -> None:
        connection.execute(
            update(Job).where(Job.kind == JobKind.TRAIN).values(cancel_requested=True)
        )

    with at_step(2, cancel):
        done = laboratory.work(round_id)
    assert done.state == RoundState.ABANDONED
    assert "cancelled" in done.reason
    assert laboratory.job(round_id).state == JobState.CANCELLED
    version = laboratory.version(done.model_version_id)
    assert (version.state, version.weights_sha256) == (ModelVersionState.FAILED, None)
    assert laboratory.active().id == cold.id
    assert not training_folder(laboratory.settings, round_id).exists()
    # the next one is free to start, under the next name
    again = laboratory.work(laboratory.start(round_iterations=1))
    assert laboratory.version(again.model_version_id).name == "eugmt-plus-0002"


def test_weights_that_vanished_fail_the_round_with_the_remedy(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    weights = tmp_path / "encoder.safetensors"
    weights.write_bytes(b"here when the round is started")
    round_id = laboratory.start(encoder_weights=str(weights))
    weights.unlink()
    done = laboratory.work(round_id)
    job = laboratory.job(round_id)
    assert done.state == RoundState.ABANDONED
    assert job.problem is not None
    assert job.problem["code"] == "encoder_weights_missing"
    assert "MEMBRANA_ENCODER_WEIGHTS" in done.reason


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"preset": "none-such"}, "unknown_preset"),
        ({"architecture": "none-such"}, "unknown_architecture"),
    ],
)
def test_settings_that_mean_nothing_fail_at_once(
    laboratory: Laboratory, changes: dict[str, str], code: str
) -> None:
    round_id = laboratory.start(**changes)
    assert laboratory.work(round_id).state == RoundState.ABANDONED
    job = laboratory.job(round_id)
    assert job.problem is not None
    assert (job.problem["code"], job.attempts) == (code, 1)


@pytest.mark.parametrize(
    ("changes", "threads"),
    [({}, 1), ({"threads": 3}, 3), ({"architecture": "deeplabv3plus"}, 0)],
)
def test_a_small_network_trains_on_one_thread_unless_others_are_asked_for(
    settings: Settings, changes: dict[str, Any], threads: int
) -> None:
    chosen = settings.model_copy(update={"threads": 0, **changes})
    frozen = rounds.frozen(chosen) | {"threads": chosen.threads}
    assert config_of(frozen).threads == threads


def test_another_version_activated_meanwhile_is_the_one_to_beat(laboratory: Laboratory) -> None:
    laboratory.add_blind_version()
    round_id = laboratory.start(round_iterations=2)

    def swap(connection: Connection) -> None:
        # retire first: the index allows one active version at any moment
        for old, new in (("active", "retired"), ("candidate", "active")):
            connection.execute(
                update(ModelVersion).where(ModelVersion.state == old).values(state=new)
            )

    with at_step(1, swap):
        done = laboratory.work(round_id)
    assert done.metrics["gold"]["active"]["name"] == "blind"
    assert done.state == RoundState.PROMOTED


def test_gold_without_membrane_promotes_nothing(database: Database, settings: Settings) -> None:
    laboratory = Laboratory(database, settings)
    with database.writing() as session:
        register_cold_start(session, laboratory.blobs)
    slide_id = add_slide(database, settings, 1)
    annotate_some(database, settings, slide_id, 1, 2, 0)
    blank = np.zeros((256, 256), np.uint8)
    for column in range(3):
        annotate(database, settings, slide_id, (3, column), PatchRole.GOLD, blank)
    cold = laboratory.active()
    done = laboratory.work(laboratory.start(round_iterations=1))
    # what can't be told has a state of its own since issue 11
    assert done.state == RoundState.NOT_JUDGED
    assert "no membrane is marked on the 3 held-out patches," in done.reason
    assert laboratory.active().id == cold.id


def test_a_round_of_another_network_says_that_it_begins_anew(
    database: Database, settings: Settings
) -> None:
    laboratory = Laboratory(database, settings)
    register_shipped(database, settings.model_copy(update={"first_model": "starter"}))
    annotate_some(database, settings, add_slide(database, settings, 1), 1, 3, 3)
    starter = laboratory.active()
    network = {"architecture": "unet-small-features", "encoder_weights": "imagenet"}
    done = laboratory.work(laboratory.start(round_iterations=1, **network))
    assert not laboratory.version(done.model_version_id).config["warm_start"]
    assert f"began anew and not from {starter.name}, whose network is unet-small:" in done.reason
    assert "this one's is unet-small-features." in done.reason


def test_enough_annotations_during_a_round_start_the_next(laboratory: Laboratory) -> None:
    laboratory.settings = laboratory.settings.model_copy(update={"round_annotations": 3})
    round_id = laboratory.start(round_iterations=2)
    with laboratory.database.reading() as session:
        slide_id = session.scalars(select(Slide.id)).one()
    blank = np.zeros((256, 256), np.uint8)
    for column in range(3):
        annotate(
            laboratory.database,
            laboratory.settings,
            slide_id,
            (3, column),
            PatchRole.TRAINING,
            blank,
        )
    laboratory.work(round_id)
    with laboratory.database.reading() as session:
        following = rounds.live(session)
    assert following is not None
    assert following.id != round_id
    assert following.requested_by is None


def test_ignored_pixels_count_for_nothing() -> None:
    proposal = np.array([[True, True, True, False, False, False]])
    mask = np.array([[255, 0, 127, 255, 0, 127]], np.uint8)
    counts = compare(proposal, mask)
    assert counts == Counts(true_positive=1, false_positive=1, false_negative=1)
    assert (counts.dice, counts.iou) == (0.5, 1 / 3)
    assert Counts().dice == 1.0


def test_the_first_round_goes_on_from_the_starter(database: Database, settings: Settings) -> None:
    laboratory = Laboratory(database, settings)
    register_shipped(database, settings.model_copy(update={"first_model": "starter"}))
    slide_id = add_slide(database, settings, 1)
    annotate_some(database, settings, slide_id, 1, 3, 3)
    starter = laboratory.active()
    done = laboratory.work(laboratory.start())
    version = laboratory.version(done.model_version_id)
    assert (version.name, version.parent_id) == ("eugmt-plus-0001", starter.id)
    assert version.config["warm_start"] is True
    # six small steps away from where it began, not from random weights
    began, ended = (
        load_ensemble(laboratory.blobs.path(each.weights_sha256 or "")).teacher.state_dict()
        for each in (starter, version)
    )
    apart = [float((began[name] - ended[name]).abs().max()) for name in began if "weight" in name]
    assert 0 < max(apart) < 0.2
