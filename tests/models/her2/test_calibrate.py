"""Thresholds from controls, the floor from blanks, and what cells say of their measuring."""

import json
from dataclasses import replace

import numpy as np
import pytest
import shapely

from models.her2.calibrate import (
    CalibrationError,
    detection_floor,
    document,
    laboratory_vectors,
    thresholds,
    vectors_of,
)
from models.her2.cells import BROWN_NUCLEUS
from models.her2.focus import Seen
from models.her2.pixels import Regions
from models.her2.protocols import load
from models.her2.quality import edge_effect, quality_flags
from models.her2.tiles import Measured
from models.her2.white_point import Survey
from models.stain import StainVectors
from tests.models.her2.mosaic import all_of, mosaic
from tests.models.her2.test_cells import some

PROTOCOL = load("asco_cap_2023_breast")
SURVEY = Survey((240.0, 240.0, 240.0), white_measured=True, residual=0.0, focus=1.0, flags=())


def control(low, high, *, n=400, complete=1.0, seed=0):
    """Cells with intensities spread evenly from low to high."""
    cells = some(n, seed=seed)
    return replace(
        cells,
        intensity=np.linspace(low, high, n).astype(np.float32),
        unshared=np.full(n, complete, np.float32),
    )


def test_percentiles_of_the_controls_are_the_thresholds():
    found = thresholds(control(0, 0.1), control(0.1, 0.3), control(0.5, 0.9), PROTOCOL)
    assert found["t_faint"] == pytest.approx(0.099, abs=1e-3)
    assert found["t_weak"] == pytest.approx(0.28, abs=1e-3)
    assert found["t_intense"] == pytest.approx(0.60, abs=1e-3)
    assert found["t_moderate"] == pytest.approx((0.28 + 0.60) / 2, abs=1e-3)


def test_a_clean_negative_control_leaves_a_least_faint():
    clean = control(0.4, 0.6, complete=0.0)
    assert thresholds(clean, control(0.1, 0.3), control(0.5, 0.9), PROTOCOL)["t_faint"] == 0.05


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        ((control(0, 0.1, n=20), control(0.1, 0.3), control(0.5, 0.9)), "negative"),
        ((control(0, 0.1), control(0.1, 0.3), control(0.5, 0.9, complete=0.5)), "stain as"),
        ((control(0, 0.1), control(0.6, 0.9), control(0.1, 0.3)), "follow each other"),
    ],
)
def test_controls_that_cannot_be_used_are_refused(controls, said):
    with pytest.raises(CalibrationError, match=said):
        thresholds(*controls, PROTOCOL)


def test_what_is_written_is_read_back_as_the_protocols_thresholds(tmp_path):
    found = thresholds(control(0, 0.1), control(0.1, 0.3), control(0.5, 0.9), PROTOCOL)
    stain = StainVectors((0.7, 0.6, 0.3), (0.3, 0.5, 0.8))
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(document(PROTOCOL, found, on="2026-01-02", stain=stain)))
    protocol = load(PROTOCOL.name, calibration=path)
    assert protocol.t_intense == found["t_intense"]
    assert vectors_of(protocol) == stain
    assert vectors_of(PROTOCOL) == StainVectors()


def test_what_a_calibration_holds_for_is_kept_beside_the_numbers():
    found = thresholds(control(0, 0.1), control(0.1, 0.3), control(0.5, 0.9), PROTOCOL)
    said = document(PROTOCOL, found, on="2026-01-02", record={"scanner": "S1", "antibody": "4B5"})
    assert (said["scanner"], said["antibody"]) == ("S1", "4B5")
    assert "Research Use Only" in said["research_use_only"]
    assert "stain" not in said, "what was not measured is not written as the laboratory's"


def test_the_floor_needs_twenty_blanks_and_never_falls_below_the_protocols():
    blank = replace(some(1000), unshared=np.zeros(1000, np.float32))
    assert detection_floor([], PROTOCOL) is None
    with pytest.raises(CalibrationError, match=r"19 slides .* too few"):
        detection_floor([blank] * 19, PROTOCOL)
    assert detection_floor([blank] * 20, PROTOCOL) == {"permille": 10, "cells": 5}
    noisy = blank.unshared.copy()
    noisy[:30] = 1.0
    dirty = replace(blank, unshared=noisy, intensity=np.full(1000, 0.2, np.float32))
    assert detection_floor([blank] * 10 + [dirty] * 10, PROTOCOL) == {"permille": 30, "cells": 5}


def test_a_blank_of_few_cells_does_not_lower_the_floor():
    blank = replace(some(1000), unshared=np.zeros(1000, np.float32))
    with pytest.raises(CalibrationError, match="number 3 has fewer"):
        detection_floor([blank, blank, blank.take(np.arange(5)), *[blank] * 17], PROTOCOL)


def angle(one, other):
    cosine = np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other)
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def test_all_strong_controls_are_asked_for_the_stain_vectors():
    stained, pale = mosaic(all_of("IC"), seed=1).image, mosaic(all_of("N"), seed=2).image
    both = laboratory_vectors([stained, stained])
    assert angle(both.dab, StainVectors().dab) < 5
    assert laboratory_vectors([pale]) is None, "without brown there is no second stain"
    assert laboratory_vectors([pale, stained]) is not None, "the second picture counts, too"


def test_each_strong_control_is_measured_from_its_own_glass():
    bright = mosaic(all_of("IC"), seed=1).image
    tinted = np.rint(bright * np.array([0.9, 0.95, 0.93])).astype(np.uint8)
    found, alone = laboratory_vectors([bright, tinted]), laboratory_vectors([bright])
    assert angle(found.dab, alone.dab) < 0.5
    assert angle(found.haematoxylin, alone.haematoxylin) < 0.5


def flags_of(cells, blurred=0):
    """Of cells in a tumour of which a share of ten blocks is blurred."""
    regions = Regions.of([shapely.box(0, 0, 4000, 4000)])
    seen = {(at, 0): Seen.BLURRED if at < blurred else Seen.SHARP for at in range(10)}
    found = Measured(cells, SURVEY, (), np.zeros((0, 2)), seen)
    return {flag.code for flag in quality_flags(found, regions)}


def test_clean_cells_raise_no_flags():
    cells = replace(some(800), cytoplasm=np.zeros(800, np.float32))
    assert flags_of(cells) == set()


def test_what_is_wrong_with_the_cells_is_flagged():
    cells = replace(some(800), cytoplasm=np.zeros(800, np.float32))
    brown = replace(cells, flags=np.full(800, BROWN_NUCLEUS, np.uint16))
    assert flags_of(brown) == {"nuclear_brown"}
    assert flags_of(replace(cells, cytoplasm=cells.intensity)) == {"cytoplasm"}
    assert flags_of(cells, blurred=3) == {"out_of_focus"}
    assert flags_of(cells, blurred=2) == set()
    assert "resolution" in flags_of(replace(cells, mpp=0.5))
    assert "no_tumour_region" in {
        flag.code
        for flag in quality_flags(Measured(cells, SURVEY, (), np.zeros((0, 2))), Regions.of([]))
    }


def test_a_stained_rim_is_seen():
    cells = some(2000, side_px=4000)
    regions = Regions.of([shapely.box(0, 0, 4000, 4000)])
    rim = np.minimum.reduce([cells.x, cells.y, 4000 - cells.x, 4000 - cells.y]) < 800
    edged = replace(cells, label=np.where(rim, 1, 0).astype(np.uint8))
    assert edge_effect(edged, regions) == pytest.approx(1.0)
    faded = replace(cells, label=np.where(rim, 0, 1).astype(np.uint8))
    assert edge_effect(faded, regions) == pytest.approx(-1.0)
    for each in (edged, faded):
        assert "edge_effect" in flags_of(replace(each, cytoplasm=np.zeros(2000, np.float32)))
    assert edge_effect(edged.take(np.arange(50)), regions) is None
