"""Metrics equal medpy's; thin lines, empty masks and pixels to ignore by the declared rules."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, generate_binary_structure, label

from models.metrics import IGNORE, compare
from models.metrics.differences import holm, paired
from models.metrics.evaluation import evaluate
from models.metrics.surface import between, boundary_f1, distances, surface
from models.metrics.thin import cl_dice, skeleton
from tests.models.make_medpy_reference import SEEDS, pairs

SQUARE, CROSS = generate_binary_structure(2, 2), generate_binary_structure(2, 1)
REFERENCE = json.loads(Path(__file__).with_name("medpy_reference.json").read_text())


def as_mask(truth):
    return truth.astype(np.uint8) * 255


def judge(proposals, masks, groups=None, **options):
    masks = np.stack(masks)
    groups = groups or [str(index) for index in range(len(masks))]
    return evaluate(np.stack(proposals), masks, groups, **options).document()


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_to_medpy_on_random_masks(seed):
    ours, truth = pairs(seed)
    expected = REFERENCE[str(seed)]
    found = asdict(distances(ours, truth))
    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-9)
    counts = compare(ours, as_mask(truth))
    overlap = (counts.dice, counts.iou, counts.precision, counts.recall)
    wanted = [expected[name] for name in ("dc", "jc", "precision", "recall")]
    assert overlap == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_skeletons_keep_each_piece_and_each_hole(seed):
    mask, _ = pairs(seed)
    line = skeleton(mask)
    assert not (line & ~mask).any()
    assert pieces(line) == pieces(mask)
    # outside the picture nothing is: what is open there is no hole
    assert pieces(np.pad(~line, 1, constant_values=True), CROSS) == pieces(
        np.pad(~mask, 1, constant_values=True), CROSS
    )
    # a line: of no block of 3×3 pixels is all left
    assert not binary_erosion(line, SQUARE).any()


def pieces(mask, neighbours=SQUARE):
    return label(mask, neighbours)[1]


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_slanting_line_keeps_its_length(width):
    """Zhang and Suen's rule leaves two pixels of the one that is two pixels wide."""
    mask = np.zeros((40, 40), bool)
    for step in range(5, 35):
        mask[step, step : step + width] = True
    assert skeleton(mask).sum() >= 27


def test_distances_of_two_lines_are_what_one_counts():
    ours, truth = np.zeros((2, 20, 20), bool)
    ours[5, 2:12] = True
    truth[8, 2:12] = True
    found = distances(ours, truth)
    assert (found.asd, found.assd, found.hd, found.hd95) == (3, 3, 3, 3)
    assert boundary_f1(*between(ours, truth), 2.0) == 0
    assert boundary_f1(*between(ours, truth), 3.0) == 1
    half = truth.copy()
    half[8, 7:] = False
    # every proposed pixel lies on the line, six of its ten are within 1 px of a proposed one
    assert boundary_f1(*between(half, truth), 1.0) == pytest.approx(2 * 0.6 / 1.6)


def test_the_pictures_edge_is_surface():
    whole = np.ones((4, 5), bool)
    assert surface(whole).sum() == 14


def test_cl_dice_forgives_width_and_not_gaps():
    truth = np.zeros((40, 60), bool)
    truth[18:22, 5:55] = True
    thin = np.zeros_like(truth)
    thin[19:21, 5:55] = True
    assert cl_dice(thin, truth) == 1
    gap = thin.copy()
    gap[:, 20:40] = False
    line = skeleton(truth)
    recall = (line & gap).sum() / line.sum()
    assert cl_dice(gap, truth) == pytest.approx(2 * recall / (1 + recall))


def test_three_ways_to_average_overlap():
    truth = np.zeros((3, 8, 8), bool)
    truth[0, :4] = truth[1, :2] = True
    ours = truth.copy()
    ours[1] = False
    ours[1, 2:4] = True
    found = judge(ours, as_mask(truth), ["a", "a", "b"])
    # patch dice: 1, 0, 1 (nothing where there is nothing); pooled: 32 of 32 + 16 + 16
    assert found["per_patch"]["dice"] == pytest.approx(2 / 3)
    assert found["pooled"]["dice"] == pytest.approx(64 / 96)
    assert found["groups"]["a"]["dice"] == pytest.approx(64 / 96)
    assert found["groups"]["b"]["dice"] == 1
    assert found["per_group"] == pytest.approx(
        {"n": 2, **{key: (found["groups"]["a"][key] + 1) / 2 for key in found["pooled"]}}
    )


def test_empty_masks_by_the_declared_rules():
    none, some = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
    some[4:8, 4:8] = True
    found = judge([none, some, none, some], [as_mask(m) for m in (none, some, some, none)])
    assert [row["dice"] for row in found["groups"].values()] == [1, 1, 0, 0]
    assert [row["precision"] for row in found["groups"].values()] == [1, 1, 0, 0]
    shape = found["shape"]
    assert (shape["n"], shape["both_empty"], shape["one_empty"]) == (1, 1, 2)
    assert shape["mean"]["hd"] == 0
    assert shape["with_penalty"]["hd"] == pytest.approx(2 / 3 * 16 * np.sqrt(2))
    assert shape["with_penalty"]["cl_dice"] == pytest.approx(1 / 3)
    nothing = judge([none], [as_mask(none)])["shape"]
    assert nothing["mean"] is None
    assert nothing["with_penalty"] is None


def test_ignored_pixels_count_nowhere():
    truth = np.zeros((16, 16), bool)
    truth[:4] = True
    mask = as_mask(truth)
    mask[8:] = IGNORE
    ours = truth.copy()
    ours[9:12] = True
    found = judge([ours], [mask])
    assert found["pooled"]["dice"] == 1
    assert found["shape"]["mean"]["hd"] == 0


def test_a_patch_of_which_nothing_is_known_is_in_no_mean():
    truth = np.zeros((16, 16), bool)
    truth[:4] = True
    unknown = np.full((16, 16), IGNORE, np.uint8)
    masks = [as_mask(truth), unknown, unknown]
    found = judge([~truth, truth, ~truth], masks, ["a", "a", "b"])
    assert (found["patches"], found["unknown"]) == (3, 2)
    assert found["per_patch"]["n"] == 1
    assert found["per_patch"]["dice"] == 0
    # a group that says nothing is none
    assert found["groups"].keys() == {"a"}
    assert found["per_group"]["n"] == 1
    assert (found["shape"]["n"], found["shape"]["both_empty"]) == (1, 0)
    with pytest.raises(ValueError, match="no pixel is known"):
        judge([truth], [unknown])


def test_lengths_in_micrometres_where_the_pixel_size_is_known():
    ours, truth = pairs(0)
    found = judge([ours], [as_mask(truth)], mpp=0.25)["shape"]
    assert found["mean_um"]["hd"] == found["mean"]["hd"] * 0.25
    assert "mean_um" not in judge([ours], [as_mask(truth)])["shape"]


def test_a_document_is_json():
    ours, truth = pairs(0)
    document = judge([ours], [as_mask(truth)], mpp=0.25)
    assert json.loads(json.dumps(document)) == document


def test_paired_differences_are_told_from_none():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.9, 20)
    better = paired(base + 0.05 + rng.normal(0, 0.01, 20), base)
    assert better.low > 0.03
    assert better.p < 0.001
    same = paired(base + rng.normal(0, 0.05, 20), base)
    assert same.low < 0 < same.high
    assert same.p > 0.05
    # the variance of the groups themselves plays no part: pairs
    assert better.high - better.low < 0.02
    assert paired(base, base + 0.05).high < 0
    # by hand: 0.02 and 0.04 are 0.03 with an error of 0.01, and t of one degree is 12.706
    few = paired([0.52, 0.54], [0.5, 0.5])
    assert (few.low, few.high) == pytest.approx((0.03 - 0.12706, 0.03 + 0.12706), abs=1e-5)
    assert few.p == pytest.approx(0.2048, abs=1e-4)
    for pairs_of in ([], [0.5]):
        with pytest.raises(ValueError, match="as many"):
            paired(pairs_of, pairs_of)


def test_of_several_differences_the_smallest_chance_is_paid_for_with_their_number():
    # Holm 1979: 0.01 x 4, then 0.02 x 3 and 0.03 x 2, which may not fall below it
    adjusted = holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.02})
    assert adjusted == pytest.approx({"b": 0.04, "d": 0.06, "c": 0.06, "a": 0.06})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
