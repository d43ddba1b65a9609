"""A round chooses the threshold of its version on slides that are held out whole."""

from pathlib import Path

import pytest

from backend.kit.db.session import Database
from backend.kit.storage.blobs import file_sha256
from backend.learning.rounds.snapshot import Snapshot
from backend.learning.rounds.tables import RoundState
from backend.settings import Settings
from backend.slides.catalogue.tables import Split
from backend.slides.patches.tables import PatchRole
from models.inference.choice import load
from models.metrics.threshold import Levels
from models.networks import save_with_threshold, threshold_of
from tests.support.learning import add_slide, annotate, annotate_some, truth
from tests.worker.test_train import Laboratory
from worker.data import read_labelled
from worker.evaluation import evaluate
from worker.predictors import predictor_for, register_cold_start
from worker.threshold import unseen_slides

PLACES = [(row, column) for row in range(2) for column in range(2)]


@pytest.fixture
def laboratory(database: Database, settings: Settings) -> Laboratory:
    """One slide to learn from, three patches of it and two slides held out, of as many kinds."""
    laboratory = Laboratory(database, settings)
    with database.writing() as session:
        register_cold_start(session, laboratory.blobs)
    annotate_some(database, settings, add_slide(database, settings, 1, Split.MIXED), 1, 3, 3)
    return laboratory


def hold_out(laboratory: Laboratory, seed: int) -> None:
    slide_id = add_slide(laboratory.database, laboratory.settings, seed, Split.GOLD)
    for place in PLACES:
        mask = truth(seed, *place)
        annotate(laboratory.database, laboratory.settings, slide_id, place, PatchRole.GOLD, mask)


def test_two_held_out_slides_choose_and_the_weights_carry_it(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    for seed in (2, 3):
        hold_out(laboratory, seed)
    done = laboratory.work(laboratory.start(round_iterations=30, preset="eugmt-plus"))
    version = laboratory.version(done.model_version_id)
    chosen = done.metrics["threshold"]
    assert version.metrics == done.metrics
    assert chosen["slides"] == 2
    # thirty steps teach a network to see membrane fainter than one half
    assert chosen["value"] == version.threshold != 0.5, chosen
    assert chosen["dice"] > chosen["dice_at_half"]
    assert f"{version.threshold:.2f}" in chosen["reason"]
    weights = laboratory.blobs.path(version.weights_sha256 or "")
    assert file_sha256(weights) == version.weights_sha256
    assert threshold_of(weights) == version.threshold

    # the stored version, asked anew, is best cut at one half, or beside it
    snapshot = Snapshot.from_document(laboratory.blobs.read(done.snapshot_sha256 or ""))
    gold = read_labelled(
        laboratory.database,
        laboratory.blobs,
        laboratory.settings,
        snapshot.of_role(PatchRole.GOLD),
        lambda: None,
    )
    held_out = unseen_slides(snapshot)
    stored = evaluate(predictor_for(laboratory, version), gold, lambda: None).of_slides(held_out)
    assert abs(sum(stored.values(), Levels.none()).best()[0] - 0.5) <= 0.02

    # and the verdict is of each slide cut where the other one says, by the networks as they are
    save_with_threshold(weights, 0.5, tmp_path / "plain")
    plain = evaluate(load(tmp_path / "plain", threads=1), gold, lambda: None)
    one, other = sorted(held_out)
    slides = plain.of_slides(held_out)
    cuts = {one: slides[other].best()[0], other: slides[one].best()[0]}
    judged = plain.cut(cuts, otherwise=version.threshold)
    shown = done.metrics["gold"]["candidate"]
    assert shown == judged.figures()
    assert (shown["patches"], len(shown["by_slide"])) == (11, 3)


def test_patches_of_slides_that_are_learned_from_choose_nothing(laboratory: Laboratory) -> None:
    hold_out(laboratory, 2)
    done = laboratory.work(laboratory.start(round_iterations=2))
    chosen = done.metrics["threshold"]
    assert (chosen["value"], chosen["slides"], chosen["dice"]) == (0.5, 1, None)
    assert "here is 1" in chosen["reason"]
    version = laboratory.version(done.model_version_id)
    assert version.threshold == 0.5
    assert threshold_of(laboratory.blobs.path(version.weights_sha256 or "")) == 0.5


def test_masks_too_few_to_judge_choose_no_threshold(laboratory: Laboratory) -> None:
    done = laboratory.work(laboratory.start(round_iterations=1, gold_patches=4))
    assert done.state == RoundState.NOT_JUDGED
    assert done.metrics["threshold"]["value"] == 0.5
    assert "too few" in done.metrics["threshold"]["reason"]
    assert laboratory.version(done.model_version_id).threshold == 0.5
