"""Weights carry their threshold, and whoever predicts with them is cut there at one half."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models.inference.choice import load
from models.networks import (
    Ensemble,
    NetworkConfig,
    NetworkError,
    build,
    load_ensemble,
    save_ensemble,
    save_with_threshold,
    threshold_of,
)

CONFIG = NetworkConfig()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("weights") / "plain"
    networks = [build(CONFIG) for _ in range(3)]
    for network in networks:
        # drawn weights say the same everywhere: these do not
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    save_ensemble(Ensemble(CONFIG, networks[0], tuple(networks[1:])), path)
    return path


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (2, 256, 256, 3), np.uint8)


def test_a_file_of_before_has_one_half_and_one_half_is_its_bytes(plain, tmp_path):
    assert threshold_of(plain) == load_ensemble(plain).threshold == 0.5
    with safe_open(plain, "pt") as file:
        assert "threshold" not in json.loads(file.metadata()["membrana"])
    save_with_threshold(plain, 0.3, tmp_path / "other")
    save_with_threshold(tmp_path / "other", 0.5, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == plain.read_bytes()


def test_a_threshold_is_carried_beside_the_same_weights(plain, tmp_path):
    sha256 = save_with_threshold(plain, 0.3, tmp_path / "other")
    assert threshold_of(tmp_path / "other") == 0.3
    ours, theirs = load_ensemble(plain), load_ensemble(tmp_path / "other")
    for one, two in zip(ours.networks(), theirs.networks(), strict=True):
        assert all(map(torch.equal, one.state_dict().values(), two.state_dict().values()))
    assert save_ensemble(theirs, tmp_path / "third") == sha256


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@pytest.mark.parametrize("share", [0.1, 0.7])
def test_what_the_networks_call_the_threshold_is_predicted_as_one_half(
    plain, tmp_path, images, backend, share
):
    before = load(plain, backend=backend, threads=1)(images)
    threshold = float(np.quantile(before.probability, share))
    assert abs(threshold - 0.5) > 0.02
    save_with_threshold(plain, threshold, tmp_path / "cut")
    after = load(tmp_path / "cut", backend=backend, threads=1)(images)
    odds = before.probability.astype(np.float64)
    odds = odds / (1 - odds) * (1 - threshold) / threshold
    np.testing.assert_allclose(after.probability, odds / (1 + odds), atol=1e-5)
    clear = np.abs(before.probability - threshold) > 1e-5
    proposed = after.probability >= 0.5
    assert (proposed == (before.probability >= threshold))[clear].all()
    assert (proposed != (before.probability >= 0.5)).any(), "it makes a difference"
    # the students are cut at the same place, not at their own half
    more = after.students.sum() - before.students.sum(dtype=int)
    assert more > 0 if threshold < 0.5 else more < 0


@pytest.mark.parametrize("threshold", [0, 1, -0.2, "much", None, [0.5], "nan"])
def test_a_threshold_that_is_none_is_refused(plain, tmp_path, threshold):
    with safe_open(plain, "pt") as file:
        document = json.loads(file.metadata()["membrana"])
    document["threshold"] = threshold
    save_file(load_file(plain), tmp_path / "odd", {"membrana": json.dumps(document)})
    with pytest.raises(NetworkError, match="threshold") as refusal:
        load_ensemble(tmp_path / "odd")
    assert refusal.value.code == "weights_unreadable"


def test_no_threshold_outside_is_written(plain, tmp_path):
    for threshold in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            save_with_threshold(plain, threshold, tmp_path / "none")
    assert not (tmp_path / "none").exists()
