"""What the benchmarks of HER2 count, by hand: wrong figures there would be believed."""

import numpy as np
import pytest

from benchmarks.her2_phantoms import PROPOSED, TRUE, dice, masks_of
from benchmarks.her2_real import BLANK, NUCLEAR, controls, steps_apart
from benchmarks.phantom_figures import blanks, ultralow_read_as_null
from models.her2.pixels import Field
from tests.models.her2.mosaic import MPP, all_of, mosaic


def test_dice_by_hand_and_undefined_without_membrane():
    true = np.array([True, True, False, False])
    assert dice(np.array([True, False, True, False]), true) == 0.5
    assert dice(true, true) == 1
    assert dice(true, np.zeros(4, np.bool_)) is None


def test_proposed_masks_are_not_the_true_ones_but_find_them():
    drawn = mosaic(all_of("IC"), side_px=512)
    field = Field(drawn.image, MPP, drawn.mask)
    assert masks_of(field, TRUE) is field.masks
    assert 0.5 < dice(masks_of(field, PROPOSED).membrane, drawn.mask) < 1


@pytest.mark.parametrize(
    ("given", "computed", "steps"),
    [("0", "0+", 0), ("1+", "0+", 1), ("0", "2+", 2), ("3+", "not assessable", None)],
)
def test_steps_between_categories_take_0_and_0_plus_for_one(given, computed, steps):
    assert steps_apart(given, computed) == steps


def test_cells_of_the_controls_are_taken_together():
    def row(kind, cells, stained, share):
        return {
            "image": f"{kind} {cells}",
            "kind": kind,
            "cells": cells,
            "percent": {"stained": stained},
            "membrane_percent_of_tissue": share,
            "computed": "not assessable",
        }

    rows = [row(NUCLEAR, 60, 0.0, 0.1), row(NUCLEAR, 40, 5.0, 0.9), row(BLANK, 0, None, None)]
    found = controls(rows)
    assert found[NUCLEAR]["stained_percent"] == 2.0
    assert found[NUCLEAR]["cells"] == 100
    assert found[BLANK]["stained_percent"] is None
    assert (found[BLANK]["not_assessable"], found[BLANK]["images"]) == (1, 1)


def test_limit_of_blank_and_ultralow_read_as_null_by_hand():
    shares = [{"start": float(n), "calibrated": 1.0} for n in range(21)]
    rows = [*({"blank_percent": each} for each in shares), {"blank_percent": None}]
    found = blanks(rows)
    assert found["controls"] == 21
    assert found["start"] == {"median_percent": 10, "percentile_95": 19, "most": 20}
    assert found["calibrated"]["percentile_95"] == 1
    pairs = [("0+", "0"), ("0+", "0+"), ("0+", "1+"), ("0+", "0"), ("0", "0"), ("1+", "0")]
    null = ultralow_read_as_null(pairs)
    assert (null["hits"], null["n"]) == (2, 4)
    assert null["wilson_95"][0] < 0.5 < null["wilson_95"][1]
    assert ultralow_read_as_null([("0", "0")])["wilson_95"] is None
