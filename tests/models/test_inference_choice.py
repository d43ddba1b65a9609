"""The rule that picks a backend, and the measurement that it stands on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.inference import TorchPredictor
from models.inference.choice import QUICKEST, chosen, load
from models.inference.openvino_backend import OpenVinoPredictor
from models.networks import (
    ARCHITECTURES,
    Ensemble,
    NetworkConfig,
    NetworkError,
    build,
    save_ensemble,
)

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "inference.json"
MEASURED = {result["network"]: result for result in json.loads(RESULTS.read_text())["results"]}
CLASSES = {"torch": TorchPredictor, "openvino": OpenVinoPredictor}


@pytest.fixture
def weights(tmp_path):
    config = NetworkConfig()
    save_ensemble(Ensemble(config, build(config), (build(config),)), tmp_path / "weights")
    return tmp_path / "weights"


def test_the_rule_is_what_was_measured():
    """Per network the quicker one with the same masks; `python -m benchmarks.inference`."""
    assert set(QUICKEST) == set(MEASURED)
    for network, backend in QUICKEST.items():
        for part, found in MEASURED[network].items():
            if part.startswith("threads"):
                openvino = found["openvino f32"]["ratio"] > found["torch"]["ratio"]
                assert backend == ("openvino" if openvino else "torch"), (network, part)
        assert (
            MEASURED[network]["masks"]["openvino f32" if backend == "openvino" else "torch"][
                "mask_iou"
            ]
            >= 0.999
        )


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "something-new"])
def test_a_gpu_is_torchs_and_so_is_what_was_not_measured(architecture):
    assert chosen(architecture, "cuda") == "torch"
    assert chosen(architecture, "cpu") == QUICKEST.get(architecture, "torch")


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_a_backend_by_name(weights, backend):
    predictor = load(weights, backend=backend, threads=1)
    assert isinstance(predictor, CLASSES[backend])
    assert predictor.backend.startswith(backend)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is torch's")
def test_auto_does_not_ask_the_clock(weights):
    one, other = load(weights, threads=1), load(weights, threads=1)
    assert type(one) is type(other) is CLASSES[QUICKEST["unet-small"]]
    patches = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    np.testing.assert_array_equal(one(patches).probability, other(patches).probability)


def test_no_weights_is_said(tmp_path):
    (tmp_path / "weights").write_bytes(b"nothing")
    with pytest.raises(NetworkError, match="holds no Membrana weights"):
        load(tmp_path / "weights")
