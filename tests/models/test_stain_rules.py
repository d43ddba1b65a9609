"""What the stain rules take from a network's proposals, and that weights carry them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cold_start import NEGATIVES, share_of
from models.inference import TorchPredictor
from models.inference.choice import load
from models.networks import load_ensemble, save_ensemble, save_with_threshold
from models.stain_rules import StainRuled, no_membrane, wrong_colour
from models.stain_rules import StainRules as Rules
from models.starter import weights_path
from tests.models.test_cold_start import lines

SHIPPED = weights_path()
GOAL_PERCENT = 0.1


@pytest.fixture(scope="module")
def bare() -> TorchPredictor:
    """The starter's networks without the rules."""
    return TorchPredictor(replace(load_ensemble(SHIPPED), stain_rules=False))


def discs() -> np.ndarray:
    """Brown nuclei on glass, 10 µm in diameter."""
    rows, columns = np.mgrid[:256, :256]
    image = np.full((1, 256, 256, 3), (236, 236, 236), np.uint8)
    for y, x in ((50, 60), (60, 180), (160, 100), (200, 200)):
        image[0][np.hypot(rows - y, columns - x) < 20] = (110, 70, 40)
    return image


def test_brown_nuclei_are_outlined_by_the_network_and_not_by_the_rules(bare):
    assert (bare(discs()).probability >= 0.5).mean() > 0.005
    ruled = StainRuled(bare)(discs())
    assert not (ruled.probability >= 0.5).any()
    assert not ruled.students.any()


@pytest.mark.parametrize("colour", [(150, 105, 70), (90, 50, 25)])
def test_brown_lines_are_left_to_the_network(bare, colour):
    net, where = lines(colour)
    plain, ruled = bare(net), StainRuled(bare)(net)
    assert (plain.probability >= 0.5)[where].mean() > 0.5
    assert (ruled.probability == plain.probability)[where].mean() > 0.99


@pytest.mark.parametrize("colour", [(120, 120, 120), (90, 90, 160), (205, 90, 150)])
def test_lines_of_another_colour_are_none_whoever_proposes_them(colour):
    net, where = lines(colour)
    none = wrong_colour(net[0], Rules())
    assert none[where[0]].mean() > 0.95
    assert no_membrane(where[0], none, Rules())[where[0]].all()


def test_a_patch_is_judged_alone(bare):
    both = np.concatenate([discs(), lines((150, 105, 70))[0]])
    together = StainRuled(bare)(both)
    for number, image in enumerate(both):
        alone = StainRuled(bare)(image[None])
        assert np.array_equal(alone.probability[0], together.probability[number])
        assert np.array_equal(alone.students[:, 0], together.students[:, number])


def test_weights_carry_the_rules_and_others_are_the_bytes_that_they_were(tmp_path):
    plain = replace(load_ensemble(SHIPPED), threshold=0.5, stain_rules=False)
    first = save_ensemble(plain, tmp_path / "plain")
    assert b"stain_rules" not in (tmp_path / "plain").read_bytes()
    assert not load_ensemble(tmp_path / "plain").stain_rules
    save_with_threshold(tmp_path / "plain", 0.4, tmp_path / "ruled", stain_rules=True)
    assert load_ensemble(tmp_path / "ruled").stain_rules
    assert isinstance(load(tmp_path / "ruled", backend="torch", threads=1), StainRuled)
    # a laboratory's own threshold is of its own corrections, which need no rules
    assert save_with_threshold(tmp_path / "ruled", 0.5, tmp_path / "back") == first
    ruled = replace(plain, stain_rules=True)
    save_ensemble(ruled, tmp_path / "again")
    assert load_ensemble(tmp_path / "again").stain_rules


def test_the_starter_carries_them() -> None:
    assert load_ensemble(SHIPPED).stain_rules


@pytest.mark.parametrize(
    "negative",
    [each for each in NEGATIVES if each.kind == "nuclear stain"]
    + [each for each in NEGATIVES if each.path.startswith("her2_tma_jpeg")],
    ids=lambda negative: Path(negative.path).stem,
)
def test_the_starter_proposes_next_to_nothing_on_real_tissue_without_membranes(
    shared_data, negative
):
    share = share_of(negative, {"starter": load(SHIPPED, threads=1)})["starter"]
    assert share < GOAL_PERCENT
