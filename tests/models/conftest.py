import pytest

from models.networks import save_ensemble
from tests.support.small import sample_batch


@pytest.fixture
def batch():
    return sample_batch()


@pytest.fixture(scope="module")
def weights(ensemble, tmp_path_factory):
    """Return the file of a module's own `ensemble`."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_ensemble(ensemble, path)
    return path
