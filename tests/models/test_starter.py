"""The starter in the package: its card is of its weights, and says what may be said."""

import json
import shutil
from pathlib import Path

import pytest

from models import starter
from models.inference.calibration import Calibration
from models.networks import NetworkConfig, load_ensemble
from models.presets import PRESETS, preset
from models.starter import StarterDamaged, shipped

PACKAGE = Path(str(starter.FOLDER))


def test_the_weights_are_those_that_the_card_names() -> None:
    here = shipped()
    assert starter.sha256_of(here.weights) == here.card["weights_sha256"] == here.sha256
    assert Calibration.from_document(here.ranges).weights_sha256 == here.sha256
    assert len(here.weights) < 5_000_000


def test_a_round_can_go_on_from_it() -> None:
    """Its network and method are those of a round's own preset."""
    ensemble = load_ensemble(PACKAGE / starter.WEIGHTS)
    training = shipped().card["training"]
    assert ensemble.config == NetworkConfig(**training["network"]) == preset("eugmt-plus").network
    assert training["method"] == PRESETS["eugmt-plus"].method
    assert ensemble.threshold == shipped().card["threshold"]
    assert len(ensemble.students) == 2, "two second opinions tell the queue where to look"


def test_the_card_says_data_licence_figures_and_limits() -> None:
    card = shipped().card
    assert card["licence"] == "Apache-2.0"
    assert 0 < card["threshold"] < 1
    assert card["reached"]
    assert card["limits"]
    assert set(card["data"]) >= {"labelled", "unlabelled", "synthetic", "source", "crops"}
    assert all(len(sha256) == 64 for sha256 in card["inputs_sha256"].values())


def test_nothing_of_another_licence_taught_it() -> None:
    """The crops of the EZEHER fields and of image_her2_00001 state no licence."""
    names = [*shipped().card["data"]["crops"], *shipped().card["inputs_sha256"]]
    assert names
    assert not [name for name in names if "eze" in name.lower() or "her2_00001" in name.lower()]
    assert not [name for name in names if "imgher2" in name]


def test_its_inputs_are_the_files_that_they_were(shared_data: Path) -> None:
    for name, sha256 in shipped().card["inputs_sha256"].items():
        assert starter.sha256_of((shared_data / name).read_bytes()) == sha256, name


@pytest.mark.parametrize("name", [starter.CARD, starter.WEIGHTS, starter.RANGES])
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_damaged_package_is_refused(
    name: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "starter"
    shutil.copytree(PACKAGE, folder)
    if damage == "missing":
        (folder / name).unlink()
    elif name == starter.CARD:
        (folder / name).write_text(json.dumps({**shipped().card, "weights_sha256": "0" * 64}))
    else:
        (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    monkeypatch.setattr(starter, "FOLDER", folder)
    with pytest.raises(StarterDamaged):
        shipped()
