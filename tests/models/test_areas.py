"""Areas worth a look: few, no specks, near ones merged, the most doubtful kept."""

import cv2
import numpy as np
import pytest

from models.areas import LEAST_PX, MOST, bits, merged, uncertain_pixels, worth_a_look
from models.metrics.error_areas import error_areas, met

SIDE = 256


def sure() -> np.ndarray:
    return np.full((1, SIDE, SIDE), 0.02, np.float32)


def students_of(probability: np.ndarray) -> np.ndarray:
    return np.stack([probability >= 0.5] * 2)


def count_of(marked: np.ndarray) -> int:
    return cv2.connectedComponents(marked.astype(np.uint8))[0] - 1


def test_the_sure_border_of_a_proposal_is_no_area() -> None:
    probability = sure()
    probability[0, 40:60, 20:200] = 0.98
    # a border's own blur: one pixel between the two
    probability[0, 39, 20:200] = probability[0, 60, 20:200] = 0.5
    assert bits(probability).max() == pytest.approx(1)
    assert not worth_a_look(probability, students_of(probability)).any()


def test_a_doubtful_piece_of_membrane_is_one_area() -> None:
    probability = sure()
    probability[0, 100:106, 50:120] = 0.45
    marked = worth_a_look(probability, students_of(probability))[0]
    assert count_of(marked) == 1
    assert marked[101:105, 52:118].all()
    assert marked.sum() < 3 * 6 * 70
    assert not worth_a_look(sure(), students_of(sure())).any()


def test_near_ones_are_merged_and_far_ones_are_not() -> None:
    for gap, expected in ((6, 1), (40, 2)):
        probability = sure()
        probability[0, 100:110, 20:60] = 0.5
        probability[0, 100:110, 60 + gap : 100 + gap] = 0.5
        assert count_of(worth_a_look(probability, students_of(probability))[0]) == expected


def test_specks_are_left_out() -> None:
    doubtful = np.zeros((SIDE, SIDE), bool)
    doubtful[10:13, 10:13] = True
    doubtful[100:108, 100:108] = True
    found = merged(doubtful, np.ones((SIDE, SIDE), np.float32))
    assert not found[:50].any()
    assert found.sum() == 64 >= LEAST_PX


def test_of_many_those_that_hold_most_doubt_are_kept() -> None:
    doubtful = np.zeros((SIDE, SIDE), bool)
    doubt = np.zeros((SIDE, SIDE), np.float32)
    places = [(20 + 60 * row, 10 + 60 * column) for row in range(4) for column in range(4)]
    for number, (y, x) in enumerate(places):
        doubtful[y : y + 10, x : x + 10] = True
        doubt[y : y + 10, x : x + 10] = (number + 1) / len(places)
    found = merged(doubtful, doubt)
    assert count_of(found) == MOST
    kept = [bool(found[y + 5, x + 5]) for y, x in places]
    assert kept == [False] * 8 + [True] * 8


def test_a_patch_is_marked_by_itself_by_entropy() -> None:
    """Whatever it is predicted with: a viewport that comes first changes nothing."""
    noise = np.random.default_rng(1).random((3, 64, 64)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(each, (0, 0), 3) for each in noise])
    students = students_of(smooth)
    both = worth_a_look(smooth, students)
    assert (worth_a_look(smooth[1:2], students[:, 1:2])[0] == both[1]).all()


def test_the_selectors_pixels_are_merged_likewise() -> None:
    probability = sure()
    probability[0, 40:60, 20:200] = 0.98
    students = students_of(probability)
    students[0, 0, 120:132, 30:90] = True
    students[0, 0, 200:202, 30:32] = True
    flagged = uncertain_pixels(probability, students)[0]
    assert flagged[121:131, 31:89].mean() > 0.5
    marked = worth_a_look(probability, students, by="selector")[0]
    assert marked[121:131, 31:89].all()
    assert not marked[195:].any(), "a speck"
    # the teacher is sure there: by entropy there is nothing to see
    assert not worth_a_look(probability, students)[0].any()


def test_errors_are_met_as_areas_and_not_as_borders() -> None:
    wrong = np.zeros((64, 64), bool)
    wrong[5, 5:60] = True
    wrong[20:26, 20:26] = True
    wrong[40:46, 40:46] = True
    wrong[60:62, 60:62] = True
    assert len(error_areas(wrong)) == 2
    areas = np.zeros((64, 64), bool)
    areas[25:30, 25:30] = True
    assert met(areas, wrong) == (1, 2)
    assert met(np.zeros_like(areas), wrong) == (0, 2)
    assert met(areas, np.zeros_like(wrong)) == (0, 0)
