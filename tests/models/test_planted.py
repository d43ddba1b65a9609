"""Planted errors are what they say, where they say, and the same for the same seed."""

import cv2
import numpy as np
import pytest

from models.study.planted import (
    IGNORE,
    MEMBRANE,
    REACH_PX,
    SHIFT_PX,
    Mistake,
    insides,
    moved,
    plant,
)


def cells() -> np.ndarray:
    """Rings of 3 px around nine cells, one of them open, and a strip that is ignored."""
    mask = np.zeros((256, 256), np.uint8)
    for row in (45, 125, 205):
        for column in (45, 125, 205):
            cv2.circle(mask, (column, row), 25, MEMBRANE, 3)
    mask[40:50, 60:80] = 0
    mask[:, :8] = IGNORE
    return mask


@pytest.mark.parametrize("mistake", list(Mistake))
def test_errors_are_exactly_the_changed_pixels(mistake):
    mask = cells()
    planted = plant(mask, mistake, count=4, seed=1)
    np.testing.assert_array_equal(planted.errors > 0, planted.mask != mask)
    assert planted.count == 4
    assert set(np.unique(planted.errors)) == {0, 1, 2, 3, 4}
    assert (planted.mask[mask == IGNORE] == IGNORE).all()
    assert set(np.unique(planted.mask)) <= {0, IGNORE, MEMBRANE}


@pytest.mark.parametrize("mistake", list(Mistake))
def test_the_seed_decides(mistake):
    first, again, other = (plant(cells(), mistake, count=2, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.errors, again.errors)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (first.errors != other.errors).any()


def test_a_dropped_stroke_was_a_connected_piece_of_membrane():
    mask = cells()
    planted = plant(mask, Mistake.DROPPED, count=3, seed=2)
    for number in range(1, planted.count + 1):
        piece = planted.errors == number
        assert (mask[piece] == MEMBRANE).all()
        assert (planted.mask[piece] == 0).all()
        assert cv2.connectedComponents(piece.astype(np.uint8), connectivity=8)[0] == 2
        rows, columns = np.nonzero(piece)
        assert max(np.ptp(rows), np.ptp(columns)) < REACH_PX


def test_a_small_piece_is_erased_whole():
    mask = np.zeros((256, 256), np.uint8)
    mask[100:104, 100:120] = MEMBRANE
    assert not plant(mask, Mistake.DROPPED, count=3, seed=0).mask.any()


def test_a_filled_cell_is_the_inside_of_a_closed_contour():
    mask = cells()
    planted = plant(mask, Mistake.FILLED, count=20, seed=5)
    # the ring at the top left is open
    assert planted.count == 8
    assert not planted.errors[20:70, 20:70].any()
    assert (planted.mask[planted.errors > 0] == MEMBRANE).all()
    assert planted.mask[125, 125] == MEMBRANE


def test_what_touches_the_edge_or_the_unknown_is_no_inside():
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 20] = MEMBRANE
    cv2.rectangle(mask, (30, 20), (50, 40), MEMBRANE, 2)
    assert len(insides(mask)) == 1
    mask[30, 40] = IGNORE
    assert insides(mask) == []


def test_a_shifted_stroke_is_missing_here_and_surplus_there():
    mask = np.zeros((256, 256), np.uint8)
    mask[100:104, 100:130] = MEMBRANE
    planted = plant(mask, Mistake.SHIFTED, count=1, seed=7)
    before, after = (np.argwhere(each == MEMBRANE) for each in (mask, planted.mask))
    assert len(before) == len(after)
    distance = np.linalg.norm(after.mean(0) - before.mean(0))
    assert distance == pytest.approx(SHIFT_PX, abs=0.75)


def test_a_stroke_moved_over_the_edge_is_cut_there():
    piece = np.zeros((8, 8), np.bool_)
    piece[6:, 2:4] = True
    np.testing.assert_array_equal(np.argwhere(moved(piece, 1, -3)), [[7, 0]])


@pytest.mark.parametrize("mistake", list(Mistake))
def test_an_empty_mask_offers_nothing(mistake):
    planted = plant(np.zeros((64, 64), np.uint8), mistake, count=3, seed=0)
    assert planted.count == 0
    assert not planted.mask.any()
