import pytest

from tests.models.small import sample_batch


@pytest.fixture
def batch():
    return sample_batch()
