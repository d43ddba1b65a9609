"""Each switch of the selector against pixels picked by hand."""

import pytest
import torch

from models.semisup.confident import ABSENT, flagged
from models.semisup.selector import Memory, Selector, SelectorOptions, near_boundary


def logits_of(membrane):
    """Logits (B, 2, H, W) whose softmax gives these membrane probabilities (B, H, W)."""
    chance = torch.as_tensor(membrane, dtype=torch.float64)
    return torch.stack([torch.log1p(-chance), torch.log(chance)], 1)


def weights(student, teacher, **switches):
    switches = {"least_share": 0.0, **switches}
    selector = Selector(SelectorOptions(**switches), students=1)
    (found,) = selector.weights([logits_of(student)], logits_of(teacher))
    return found


# Four pixels given membrane, of which the teacher thinks one is background, and the reverse:
# thresholds 0.7 and 0.7, so one of four is doubted in each class.
STUDENT = [[[0.9, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.1]]]
TEACHER = [[[0.9, 0.9, 0.9, 0.1], [0.1, 0.1, 0.1, 0.9]]]
DOUBTED = [[[0, 0, 0, 1], [0, 0, 0, 1]]]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("doubtful", DOUBTED),
        ("trusted", [[[1, 1, 1, 0], [1, 1, 1, 0]]]),
        ("everywhere", [[[1, 1, 1, 1], [1, 1, 1, 1]]]),
        # what the teacher does not believe of the label the student gave
        ("weighted", [[[0.1, 0.1, 0.1, 0.9], [0.1, 0.1, 0.1, 0.9]]]),
    ],
)
def test_where_the_consistency_counts(at, expected):
    found = weights(STUDENT, TEACHER, consistency_at=at)
    torch.testing.assert_close(found.double(), torch.tensor(expected).double(), atol=1e-6, rtol=0)


def test_an_image_is_a_set_of_its_own_or_part_of_the_batch():
    """The second teacher is unsure of membrane: its own threshold is low, the batch's is not."""
    student = torch.tensor([[[0.9, 0.9, 0.1, 0.1]] * 4] * 2)
    sure = [[0.95, 0.95, 0.05, 0.05]] * 4
    unsure = [[0.55, 0.45, 0.05, 0.58]] * 4
    teacher = torch.tensor([sure, unsure])
    by_batch = weights(student, teacher, scope="batch")
    by_image = weights(student, teacher, scope="image")
    for found, sets in ((by_batch, [slice(0, 2)]), (by_image, [slice(0, 1), slice(1, 2)])):
        for part in sets:
            expected = flagged(student[part].numpy() > 0.5, teacher[part].numpy())
            assert torch.equal(found[part], torch.from_numpy(expected))
    assert not by_batch.any()
    assert by_image[1, :, 3].all(), "0.58 is above this image's threshold of 0.5, not the batch's"


@pytest.mark.parametrize(("fallback", "everywhere"), [("zero", False), ("full_mse", True)])
def test_without_a_class_all_pixels_count_or_none(fallback, everywhere):
    nothing = [[[0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]]]
    found = weights(nothing, TEACHER, absent_fallback=fallback)
    assert bool(found.all()) is everywhere
    assert bool(found.any()) is everywhere
    # a class there is, but below the guard, is absent as well
    few = [[[0.9, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]]]
    found = weights(few, TEACHER, absent_fallback=fallback, least_share=0.25)
    assert bool(found.any()) is everywhere
    # both are there: nothing to fall back from
    assert weights(STUDENT, TEACHER, absent_fallback=fallback).int().tolist() == DOUBTED


def test_a_fallback_is_each_image_s_own():
    nothing = [[0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]]
    found = weights(
        [STUDENT[0], nothing], [TEACHER[0]] * 2, scope="image", absent_fallback="full_mse"
    )
    assert found[0].int().tolist() == DOUBTED[0]
    assert found[1].all()


def test_near_a_boundary_is_in_rows_and_columns():
    mask = torch.zeros(1, 5, 7, dtype=torch.bool)
    mask[:, :, 4:] = True
    # the boundary lies between columns 3 and 4
    assert near_boundary(mask, 1)[0, 2].tolist() == [False, False, False, True, True, False, False]
    assert near_boundary(mask, 2)[0, 2].tolist() == [False, False, True, True, True, True, False]
    assert not near_boundary(torch.ones_like(mask), 2).any()


def test_the_students_and_the_teachers_boundary_count():
    row = torch.full((1, 1, 12), 0.1)
    student, teacher = row.clone(), row.clone()
    student[..., 2:] = 0.9  # boundary between 1 and 2
    teacher[..., 8:] = 0.9  # boundary between 7 and 8
    found = weights(student, teacher, consistency_at="everywhere", boundary_px=1)
    assert found.flatten().nonzero().flatten().tolist() == [1, 2, 7, 8]


def test_thresholds_are_remembered_as_a_moving_average():
    memory = Memory(2)
    first = memory.take(0, torch.tensor([0.9, 0.6]), 0.75)
    torch.testing.assert_close(first, torch.tensor([0.9, 0.6]))
    # at the second set half, at the fifth and later three quarters of what was
    second = memory.take(0, torch.tensor([0.7, 0.8]), 0.75)
    torch.testing.assert_close(second, torch.tensor([0.8, 0.7]))
    for _ in range(2):
        memory.take(0, torch.tensor([0.8, 0.7]), 0.75)
    fifth = memory.take(0, torch.tensor([0.4, ABSENT]), 0.75)
    torch.testing.assert_close(fifth, torch.tensor([0.7, 0.7]))
    torch.testing.assert_close(memory.mean[1], torch.full((2,), ABSENT))


def test_remembered_thresholds_are_what_a_later_set_is_judged_by():
    """The teacher was sure of membrane before; now it is not, and its own threshold is low."""
    selector = Selector(SelectorOptions(least_share=0.0, threshold_memory=0.9), students=1)
    sure = torch.tensor([[[0.95, 0.95, 0.05, 0.05]]])
    student = torch.tensor([[[0.9, 0.9, 0.1, 0.1, 0.1, 0.1]]])
    unsure = torch.tensor([[[0.6, 0.3, 0.1, 0.2, 0.58, 0.1]]])
    selector.weights([logits_of(sure)], logits_of(sure))
    (found,) = selector.weights([logits_of(student)], logits_of(unsure))
    own = [(0.9 + 0.8 + 0.42 + 0.9) / 4, 0.45]
    mixed = [(0.95 + own[0]) / 2, (0.95 + own[1]) / 2]
    given, probability = student.numpy() > 0.5, unsure.numpy()
    expected = flagged(given, probability, thresholds=mixed)
    assert torch.equal(found, torch.from_numpy(expected))
    # with its own it doubts what lies above 0.45 and was called background
    assert flagged(given, probability)[0, 0, 4]
    assert not found[0, 0, 4]


def test_on_a_device_the_thresholds_given_are_used_as_well():
    from models.semisup.doubt import flagged_by_sorting

    generator = torch.Generator().manual_seed(1)
    probability = torch.rand(500, generator=generator)
    labels = probability + 0.4 * torch.randn(500, generator=generator) > 0.5
    thresholds = torch.tensor([0.55, 0.9])
    found = flagged_by_sorting(
        labels, probability, drop_agreeing=True, least_count=0, thresholds=thresholds
    )
    expected = flagged(labels.numpy(), probability.numpy(), thresholds=thresholds.tolist())
    assert torch.equal(found, torch.from_numpy(expected))
    assert found.any()
    assert not torch.equal(found, torch.from_numpy(flagged(labels.numpy(), probability.numpy())))
