"""What an audit finds in masks, how it deals them, and that no network saw what it judges."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import out_of_fold as loop
from models.label_issues import LEAST_PX, IssueKind, find, folding
from models.out_of_fold import out_of_fold
from models.semisup.confident import flagged
from models.study.planted import Mistake, plant
from models.training import Stopped, preset

SIDE = 64


def striped(count: int = 3) -> np.ndarray:
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    masks[:, 10:16] = 255
    masks[:, 40:46] = 255
    return masks


def seen(masks: np.ndarray) -> np.ndarray:
    """Probabilities of a network that sees the masks."""
    return np.where(masks == 255, 0.95, 0.05).astype(np.float32)


def test_a_forgotten_and_an_invented_membrane_are_found_in_their_boxes():
    truth = striped()
    masks = truth.copy()
    masks[0, 40:46, 8:30] = 0
    masks[1, 25:33, 50:60] = 255
    first, second, third = find(masks, seen(truth))
    [missing] = first.components
    assert missing.kind == IssueKind.MISSING
    assert (missing.row, missing.column, missing.height, missing.width) == (40, 8, 6, 22)
    assert (missing.size_px, missing.core_px) == (6 * 22, 4 * 20)
    assert missing.pixels.all()
    assert missing.score == pytest.approx(0.95)
    [surplus] = second.components
    assert surplus.kind == IssueKind.SURPLUS
    assert (surplus.row, surplus.column, surplus.height, surplus.width) == (25, 50, 8, 10)
    assert third.components == ()
    np.testing.assert_array_equal(first.doubtful, masks[0] != truth[0])


def test_the_score_is_one_minus_the_mean_self_confidence():
    truth, masks = striped(), striped()
    masks[0, 40:46, 8:30] = 0
    probability = seen(truth)
    probability[0, 40:46, 8:30] = np.linspace(0.95, 0.99, 22)
    [component] = find(masks, probability)[0].components
    given = 1 - probability[0, 40:46, 8:30]
    assert component.score == pytest.approx(1 - given.mean(), abs=1e-6)
    assert component.score == pytest.approx(0.97)


def test_a_component_knows_its_pixels_in_a_box_that_others_share():
    truth, masks = striped(), striped()
    # an L, and a square in its corner
    masks[0, 18:38, 5:10] = 255
    masks[0, 33:38, 5:36] = 255
    masks[0, 20:28, 14:24] = 255
    corner, angle = sorted(find(masks, seen(truth))[0].components, key=lambda each: each.size_px)
    assert (angle.row, angle.column, angle.height, angle.width) == (18, 5, 20, 31)
    assert angle.pixels.sum() == angle.size_px == 20 * 5 + 5 * 31 - 25
    assert not angle.pixels[2:10, 9:19].any()
    assert corner.pixels.all()


def test_of_equally_sure_ones_the_larger_comes_first():
    truth, masks = striped(), striped()
    masks[0, 40:46, 50:58] = 0
    masks[0, 10:16, 5:40] = 0
    sizes = [each.size_px for each in find(masks, seen(truth))[0].components]
    assert sizes == [6 * 35, 6 * 8]


def test_ignored_pixels_are_neither_judged_nor_counted():
    truth, masks = striped(), striped()
    masks[0, 40:46, 8:30] = 0
    probability = seen(truth)
    unknown = masks.copy()
    unknown[0] = 127
    # whatever is said of ignored pixels, it changes nothing
    probability[0] = np.random.default_rng(1).random((SIDE, SIDE))
    issues = find(unknown, probability)
    assert not issues[0].doubtful.any()
    expected = flagged(masks[1:] == 255, probability[1:])
    np.testing.assert_array_equal(np.stack([each.doubtful for each in issues[1:]]), expected)


def test_all_masks_are_one_scope():
    rng = np.random.default_rng(4)
    masks = np.where(rng.random((4, SIDE, SIDE)) < 0.2, 255, 0).astype(np.uint8)
    probability = rng.random(masks.shape).astype(np.float32)
    together = np.stack([each.doubtful for each in find(masks, probability)])
    np.testing.assert_array_equal(together, flagged(masks == 255, probability))


def test_specks_and_rims_are_no_components():
    truth, masks = striped(), striped()
    # a rim of two px along a whole membrane, and five px in a corner of nothing
    masks[0, 44:46] = 0
    masks[1, 60:62, 60:63] = 255
    issues = find(masks, seen(truth))
    assert issues[0].doubtful.sum() > LEAST_PX
    assert issues[1].doubtful.any()
    assert [each.components for each in issues] == [(), (), ()]


def test_masks_without_membrane_or_all_ignored_have_no_issues():
    blank = np.zeros((2, SIDE, SIDE), np.uint8)
    probability = np.random.default_rng(0).random(blank.shape).astype(np.float32)
    for masks in (blank, np.full_like(blank, 127)):
        assert not any(each.doubtful.any() for each in find(masks, probability))


def test_a_probability_that_is_none_is_refused():
    masks = striped()
    with pytest.raises(ValueError, match="finite"):
        find(masks, np.full(masks.shape, np.nan, np.float32))
    with pytest.raises(ValueError, match="differ"):
        find(masks, seen(masks)[:2])


@given(
    st.lists(st.tuples(st.sampled_from("abcdefg"), st.booleans()), min_size=1, max_size=40),
    st.integers(2, 6),
    st.integers(0, 5),
)
def test_no_fold_learns_from_what_it_judges(patches, folds, seed):
    groups = [group for group, _ in patches]
    learns = np.array([own for _, own in patches])
    teaching = {group for group, own in patches if own}
    if learns.sum() < 2:
        with pytest.raises(ValueError, match="two"):
            folding(groups, learns, folds=folds, seed=seed)
        return
    dealt = folding(groups, learns, folds=folds, seed=seed)
    assert dealt.by_group == (len(teaching) > 1)
    assert 2 <= dealt.count <= folds
    everything = np.concatenate([dealt.left_out(fold) for fold in range(dealt.count)])
    assert sorted(everything) == list(range(len(groups)))
    for fold in range(dealt.count):
        learned, judged = dealt.learned(fold), dealt.left_out(fold)
        assert len(learned), "every fold has something to learn from"
        assert learns[learned].all()
        assert not set(learned) & set(judged)
        if dealt.by_group:
            assert not {groups[i] for i in learned} & {groups[i] for i in judged}


def test_folds_are_of_about_equal_size():
    groups = [
        name for name, count in zip("abcdef", (9, 1, 3, 3, 4, 4), strict=True) for _ in range(count)
    ]
    dealt = folding(groups, np.ones(len(groups), np.bool_), folds=3, seed=0)
    assert sorted(np.bincount(dealt.fold)) == [7, 8, 9]


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    masks = striped(6)
    images = np.repeat(np.where(masks == 255, 90, 200)[..., None], 3, axis=3)
    return (images + rng.integers(-20, 20, images.shape)).astype(np.uint8), masks


SHORT = replace(preset("supervised"), iterations=4, crop=32, threads=1, checkpoint_every=1)


@pytest.fixture
def dealt():
    return folding(list("aabbcc"), np.array([1, 1, 1, 1, 1, 0], np.bool_), folds=3, seed=0)


def test_each_fold_learns_without_the_patches_it_judges(pictures, dealt, tmp_path, monkeypatch):
    images, masks = pictures
    given_to = []
    real = loop.train

    def watched(config, learned, *more, **options):
        given_to.append({int(np.flatnonzero((images == one).all((1, 2, 3)))[0]) for one in learned})
        return real(config, learned, *more, **options)

    monkeypatch.setattr(loop, "train", watched)
    judged = out_of_fold(SHORT, images, masks, images[:0], dealt, workdir=tmp_path)
    probability = judged.probability
    assert [len(each) for each in judged.weights] == [64] * 3
    assert len(set(judged.weights)) == 3
    assert probability.shape == masks.shape
    assert ((probability > 0) & (probability < 1)).all()
    assert given_to == [set(dealt.learned(fold).tolist()) for fold in range(3)]
    assert all(5 not in learned for learned in given_to), "a mask that may not teach"


def test_stopped_anywhere_it_ends_in_the_same_probabilities(pictures, dealt, tmp_path):
    images, masks = pictures
    steps: list[tuple[int, int]] = []

    def progress(step, of, _losses):
        steps.append((step, of))

    whole = out_of_fold(
        SHORT, images, masks, images, dealt, workdir=tmp_path / "a", progress=progress
    )
    assert steps == [(step, 12) for step in range(1, 13)]
    stops = iter([False] * 6 + [True] + [False] * 3 + [True] + [False] * 100)
    options = {"workdir": tmp_path / "b", "stopping": lambda: next(stops)}
    for _ in range(2):
        with pytest.raises(Stopped):
            out_of_fold(SHORT, images, masks, images, dealt, **options)
    parted = out_of_fold(SHORT, images, masks, images, dealt, **options)
    np.testing.assert_array_equal(parted.probability, whole.probability)
    assert parted.weights == whole.weights


def test_planted_errors_are_found_by_networks_that_learned_from_spoilt_masks(tmp_path):
    rng = np.random.default_rng(2)
    truth = np.zeros((8, 96, 96), np.uint8)
    for index, mask in enumerate(truth):
        mask[20 + 2 * index : 27 + 2 * index] = 255
        mask[:, 60 - 2 * index : 67 - 2 * index] = 255
    images = np.repeat(np.where(truth == 255, 80, 200)[..., None], 3, axis=3)
    images = (images + rng.integers(-25, 25, images.shape)).astype(np.uint8)
    masks = truth.copy()
    planted = plant(truth[0], Mistake.DROPPED, count=1, seed=1)
    masks[0] = planted.mask
    torch.set_num_threads(1)
    dealt = folding([str(i // 2) for i in range(8)], np.ones(8, np.bool_), folds=2, seed=0)
    config = replace(SHORT, iterations=40, learning_rate=1e-2, warm_up=3, checkpoint_every=100)
    judged = out_of_fold(config, images, masks, images[:0], dealt, workdir=tmp_path)
    issues = find(masks, judged.probability)
    [worst] = issues[0].components
    assert worst.kind == IssueKind.MISSING
    erased = planted.errors > 0
    assert (issues[0].doubtful & erased).sum() > erased.sum() / 2
    assert not any(each.components for each in issues[1:])
