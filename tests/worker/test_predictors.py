"""From a model version to its predictor: the stored parameters, kept once, torch only if needed."""

import json
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from backend.kit.db.session import Database, get_database
from backend.kit.errors import NotFound
from backend.kit.storage.blobs import Blobs
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelKind, ModelVersion, ModelVersionState
from backend.settings import Settings
from models.cold_start import ColdStart, ColdStartParameters
from models.networks import Ensemble, NetworkConfig, build, save_ensemble
from models.phantom import field
from tests.support.learning import spec_of
from worker.predictors import NoWeights, predictor_for, register_cold_start


class Installation:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.blobs = Blobs(settings.blob_folder)
        self.database = get_database(settings.sqlalchemy_url)


@pytest.fixture
def installation(settings: Settings) -> Installation:
    return Installation(settings)


def version_with(weights_sha256: str | None, kind: ModelKind = ModelKind.EUGMT) -> ModelVersion:
    return ModelVersion(
        name="v", kind=kind, state=ModelVersionState.CANDIDATE, weights_sha256=weights_sha256
    )


def test_the_registered_cold_start_predicts_as_the_code_does(
    database: Database, installation: Installation
) -> None:
    with database.writing() as session:
        register_cold_start(session, installation.blobs)
    with database.reading() as session:
        version = model_versions.active(session)
    images = field(spec_of(1), 256).image[None]
    ours, theirs = predictor_for(installation, version)(images), ColdStart()(images)
    np.testing.assert_array_equal(ours.probability, theirs.probability)
    np.testing.assert_array_equal(ours.students, theirs.students)


def test_a_version_predicts_with_its_own_parameters(installation: Installation) -> None:
    """An upgrade that changes the defaults must not change what an old version says."""
    other = ColdStart(ColdStartParameters(brown_od=0.3, surround_px=21))
    sha256 = installation.blobs.put(other.parameters_json())
    predictor = predictor_for(installation, version_with(sha256, ModelKind.COLD_START))
    images = field(spec_of(1), 256).image[None]
    np.testing.assert_array_equal(predictor(images).probability, other(images).probability)


def test_a_version_from_before_a_rule_goes_on_without_it(installation: Installation) -> None:
    earlier = ColdStartParameters(
        brown_hue_od=0, pinkest=-1, longest_arm_px=0, lump_od=(), shortest_px=0
    )
    document = json.loads(ColdStart(earlier).parameters_json())
    for name in ("brown_hue_od", "pinkest", "longest_arm_px", "lump_od", "shortest_px"):
        del document[name]
    sha256 = installation.blobs.put(json.dumps(document).encode())
    predictor = predictor_for(installation, version_with(sha256, ModelKind.COLD_START))
    images = field(spec_of(1), 256).image[None]
    np.testing.assert_array_equal(
        predictor(images).probability, ColdStart(earlier)(images).probability
    )
    assert (predictor(images).probability != ColdStart()(images).probability).any()


@pytest.fixture
def trained_sha256(installation: Installation) -> str:
    config = NetworkConfig()
    path = installation.blobs.folder / "model.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    networks = [build(config) for _ in range(3)]
    sha256 = save_ensemble(Ensemble(config, networks[0], tuple(networks[1:])), path)
    installation.blobs.adopt(path, sha256)
    return sha256


def test_trained_weights_are_loaded_once(installation: Installation, trained_sha256: str) -> None:
    first = predictor_for(installation, version_with(trained_sha256))
    assert predictor_for(installation, version_with(trained_sha256)) is first
    seen = first(np.zeros((1, 256, 256, 3), np.uint8))
    assert seen.probability.shape == (1, 256, 256)
    assert seen.students.shape == (2, 1, 256, 256)


@pytest.mark.parametrize(("choice", "library"), [("torch", "torch"), ("openvino", "openvino")])
def test_the_setting_says_what_predicts(
    installation: Installation,
    choice: str,
    library: str,
    trained_sha256: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is in the log with the weights, for a mask's last bits depend on it."""
    installation.settings = installation.settings.model_copy(update={"inference_backend": choice})
    with caplog.at_level("INFO", logger="worker.predictors"):
        predictor = predictor_for(installation, version_with(trained_sha256))
    assert predictor.backend.split(" ")[0] == library
    assert f"{trained_sha256} predict with {predictor.backend}" in caplog.text


def test_averaging_over_views_is_a_setting(installation: Installation, trained_sha256: str) -> None:
    once = predictor_for(installation, version_with(trained_sha256))
    installation.settings = installation.settings.model_copy(update={"inference_views": "flips"})
    averaged = predictor_for(installation, version_with(trained_sha256))
    assert averaged.backend == f"{once.backend}, flips averaged"
    picture = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), np.uint8)
    mirrored = np.ascontiguousarray(picture[:, :, ::-1])
    np.testing.assert_allclose(
        averaged(mirrored).probability[:, :, ::-1], averaged(picture).probability, atol=1e-5
    )


def test_an_unknown_backend_is_refused_at_the_start() -> None:
    with pytest.raises(ValidationError, match="inference_backend"):
        Settings(inference_backend="onnx")  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["mixed", "int8"])
def test_eight_bits_on_torch_are_refused_at_the_start(precision: str) -> None:
    with pytest.raises(ValidationError, match=f"{precision} is OpenVINO's"):
        Settings(inference_backend="torch", inference_precision=precision)  # type: ignore[arg-type]


def test_a_version_in_training_has_no_predictor(installation: Installation) -> None:
    with pytest.raises(NoWeights):
        predictor_for(installation, version_with(None))


def test_parameters_that_are_gone_are_named(installation: Installation) -> None:
    with pytest.raises(NotFound, match="is not on disk"):
        predictor_for(installation, version_with("0" * 64, ModelKind.COLD_START))


def test_the_parent_of_a_worker_never_loads_torch() -> None:
    program = (
        "import sys, worker.predictors; sys.exit(not {'torch', 'openvino'}.isdisjoint(sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
