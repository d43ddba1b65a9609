"""OpenVINO: it agrees with torch on every architecture, and it keeps to itself."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.inference import TorchPredictor
from models.inference.openvino_backend import OpenVinoPredictor
from models.networks import Ensemble, NetworkConfig, build

ROOT = Path(__file__).parents[2]
CONFIGS = [
    NetworkConfig("unet", "resnet18"),
    NetworkConfig("deeplabv3plus", "resnet18", plain_aspp=True),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.architecture)
def test_it_computes_what_torch_computes(config):
    torch.manual_seed(0)
    ensemble = Ensemble(config, build(config), (build(config),))
    patches = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), dtype=np.uint8)
    theirs = OpenVinoPredictor(ensemble, threads=1, batch_size=1)(patches)
    ours = TorchPredictor(ensemble, batch_size=1)(patches)
    np.testing.assert_allclose(theirs.probability, ours.probability, atol=1e-3)
    assert (theirs.students == ours.students).mean() > 0.999
    assert ours.probability.std() > 1e-4


def test_larger_windows_are_taken_and_smaller_ones_refused():
    """A slide is predicted in windows of several patches' size (models/tiling.py)."""
    config = NetworkConfig()
    ensemble = Ensemble(config, build(config), ())
    predictor = OpenVinoPredictor(ensemble, threads=1)
    window = np.random.default_rng(0).integers(0, 256, (2, 512, 272, 3), dtype=np.uint8)
    seen = predictor(window)
    ours = TorchPredictor(ensemble)(window)
    np.testing.assert_allclose(seen.probability, ours.probability, atol=1e-3)
    np.testing.assert_array_equal(predictor(window[1:]).probability[0], seen.probability[1])
    with pytest.raises(ValueError, match="256"):
        predictor(np.zeros((1, 128, 256, 3), np.uint8))


CONVERSION = """
import sys, torch
from models.inference.openvino_backend import OpenVinoPredictor
assert "openvino" not in sys.modules
from models.networks import Ensemble, NetworkConfig, build
config = NetworkConfig()
OpenVinoPredictor(Ensemble(config, build(config), ()), threads=1)
assert "openvino" in sys.modules
"""


def test_it_reports_to_nobody_even_where_its_telemetry_is_installed(tmp_path):
    """The package is laid in the way of the import: touching it ends the process."""
    package = tmp_path / "openvino_telemetry"
    package.mkdir()
    (package / "__init__.py").write_text("import os; os._exit(3)")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}

    def status(program):
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, check=False
        ).returncode

    assert status("import openvino.tools.ovc.utils") == 3
    assert status(CONVERSION) == 0
