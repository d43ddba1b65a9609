"""Optical density and stain separation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.phantom import PhantomSpec, field
from models.stain import (
    WHITE,
    StainVectors,
    estimate_vectors,
    optical_density,
    separate,
    white_point,
)


def paint(h, d, white=WHITE, vectors=None):
    """One pixel of Beer-Lambert light over given amounts, as uint8."""
    v = vectors or StainVectors()
    unit = [np.array(a) / np.linalg.norm(a) for a in (v.haematoxylin, v.dab)]
    light = np.array(white) * 10 ** -(h * unit[0] + d * unit[1])
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


@given(h=st.floats(0, 0.6), d=st.floats(0, 0.8))
def test_separation_recovers_the_amounts_painted(h, d):
    found_h, found_d, residual = separate(paint(h, d)[None])
    assert found_h[0] == pytest.approx(h, abs=0.04)
    assert found_d[0] == pytest.approx(d, abs=0.04)
    assert abs(residual[0]) < 0.04


def test_density_is_zero_at_white_and_never_negative_or_infinite():
    image = np.array([[[240, 240, 240], [255, 255, 255], [0, 0, 0]]], np.uint8)
    density = optical_density(image)
    assert density[0, 0].max() == pytest.approx(0, abs=1e-6)
    assert density.min() == 0
    assert np.isfinite(density).all()
    assert density[0, 2].min() == pytest.approx(np.log10(240), rel=1e-5)


def test_density_is_log10_over_the_given_white():
    density = optical_density(np.full((1, 1, 3), 23, np.uint8), (230.0, 230.0, 230.0))
    assert density == pytest.approx(1.0, abs=1e-6)


def test_white_point_is_measured_on_glass_and_assumed_without():
    overview = np.full((100, 100, 3), (60, 40, 30), np.uint8)
    assert white_point(overview) == WHITE
    overview[:, :50] = (235, 234, 244)
    assert white_point(overview) == (235.0, 234.0, 244.0)


def test_estimated_vectors_come_near_the_slides_own_on_a_3plus_field():
    image = field(PhantomSpec(her2="3+", seed=2, stain_variation=0.0), 512).image
    vectors = estimate_vectors(image)
    assert vectors is not None
    for found, true in (
        (vectors.haematoxylin, (0.72, 0.62, 0.30)),
        (vectors.dab, (0.30, 0.56, 0.77)),
    ):
        cosine = np.dot(found, true) / np.linalg.norm(found) / np.linalg.norm(true)
        assert cosine > 0.97


def test_no_vectors_are_invented_where_there_is_no_brown():
    spec = PhantomSpec(her2="0", seed=1, cytoplasm=0, stroma=0, brown_nuclei=0, edge_artefact=0)
    assert estimate_vectors(field(spec, 512).image) is None
    assert estimate_vectors(np.full((64, 64, 3), 240, np.uint8)) is None
