"""BCP: pasted images, labels and weights from loops over pixels, and what each term trains."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from models.semisup.bcp import BcpOptions, CopyPaste, cycled
from models.semisup.losses import dice_loss
from models.semisup.method import Batch
from models.semisup.paste import boxes
from tests.support.small import network, sample_batch

STEPS, STEP = 100, 40
OPTIONS = BcpOptions(labelled_share=0.0)
SIDE, BOX = 32, 21
"""A box of two thirds of 32 pixels."""


@pytest.fixture
def batch():
    return sample_batch(count=3)


def method(options=OPTIONS):
    return CopyPaste(network(1), network(2), options, steps=STEPS)


def only(learner, batch, step=STEP):
    torch.manual_seed(6)
    losses = list(learner.updates(batch, step))
    assert len(losses) == 1
    return losses[0]


def drawn_boxes(count):
    torch.manual_seed(6)
    share = torch.full((count,), 2 / 3, dtype=torch.float64)
    return boxes(share, share, torch.zeros(count, 3, SIDE, SIDE))


def pasted(inside, outside, box):
    """Image by image, row by row: what is in the box of the one, around it of the other."""
    images = []
    for one, other, mask in zip(inside, outside, box, strict=True):
        image = other.clone()
        for row, column in mask.nonzero().tolist():
            image[..., row, column] = one[..., row, column]
        images.append(image)
    return torch.stack(images)


def loss_at(logits, labels, where):
    """Half pooled Dice, half cross entropy, of the pixels picked out."""
    picked = logits.movedim(1, -1)[where], labels[where]
    as_image = picked[0].T.reshape(1, 2, 1, -1), picked[1].reshape(1, 1, -1)
    return 0.5 * dice_loss(*as_image) + 0.5 * F.cross_entropy(*picked)


def both_directions(learner, images, labels, valid, unlabelled):
    """The losses of labelled and of guessed pixels; the last labelled image comes first outward."""
    box = drawn_boxes(len(images))
    assert all(mask.sum() == BOX * BOX for mask in box)
    with torch.no_grad():
        guesses = learner.teacher(unlabelled).argmax(1)
    assert 0.01 < guesses.double().mean() < 0.99, "one class alone: the case shows little"
    nexts = [torch.cat([each[-1:], each[:-1]]) for each in (images, labels, valid)]
    inward = learner.student(pasted(unlabelled, images, box))
    outward = learner.student(pasted(nexts[0], unlabelled, box))
    known = loss_at(inward, labels, valid & ~box) + loss_at(outward, nexts[1], nexts[2] & box)
    return known, loss_at(inward, guesses, box) + loss_at(outward, guesses, ~box)


def test_both_directions_are_the_equation(batch):
    learner = method()
    losses = only(learner, batch)
    known, guessed = both_directions(
        learner, batch.labelled, batch.labels, batch.valid, batch.unlabelled
    )
    torch.testing.assert_close(losses["supervised"], known)
    torch.testing.assert_close(losses["from_teacher"], guessed)
    torch.testing.assert_close(losses["total"], known + 0.5 * guessed)


@pytest.mark.parametrize(("labelled", "unlabelled"), [(1, 3), (2, 3), (3, 2)])
def test_batches_of_unlike_sizes_begin_again(labelled, unlabelled):
    some, others = sample_batch(labelled), sample_batch(unlabelled, seed=3)
    batch = Batch(
        **{key: getattr(some, key) for key in ("labelled", "labelled_strong", "labels", "valid")},
        **{key: getattr(others, key) for key in ("unlabelled", "unlabelled_strong")},
        unlabelled_noisy=others.unlabelled_noisy,
        whole=others.whole,
        source=some.source,
    )
    learner = method()
    losses = only(learner, batch)

    def three(each):
        return torch.stack([each[number % len(each)] for number in range(3)])

    known, guessed = both_directions(
        learner,
        *(three(each) for each in (batch.labelled, batch.labels, batch.valid, batch.unlabelled)),
    )
    torch.testing.assert_close(losses["supervised"], known)
    torch.testing.assert_close(losses["from_teacher"], guessed)


def test_cycled_begins_again():
    assert cycled(torch.tensor([7, 8]), 5).tolist() == [7, 8, 7, 8, 7]
    assert cycled(torch.tensor([7, 8]), 2).tolist() == [7, 8]


def test_labelled_images_alone_are_pasted_first(batch):
    learner = method(BcpOptions())
    assert learner.options.labelled_share == 0.25
    losses = only(learner, batch, 24)
    assert set(losses) == {"total", "supervised"}
    box = drawn_boxes(3)
    images, labels, valid = (
        pasted(torch.cat([each[-1:], each[:-1]]), each, box)
        for each in (batch.labelled, batch.labels, batch.valid)
    )
    assert not torch.equal(images, batch.labelled)
    torch.testing.assert_close(losses["total"], loss_at(learner.student(images), labels, valid))
    after = only(learner, batch, 25)
    torch.testing.assert_close(after["total"], after["supervised"] + 0.5 * after["from_teacher"])


def test_a_ramp_by_option(batch):
    learner = method(replace(OPTIONS, labelled_share=0.5, ramp_share=0.2))
    for step, rising in ((50, math.exp(-5)), (60, math.exp(-5 / 4)), (99, 1.0)):
        losses = only(learner, batch, step)
        total = losses["supervised"] + 0.5 * rising * losses["from_teacher"]
        torch.testing.assert_close(losses["total"], total)


@pytest.mark.parametrize("name", ["supervised", "from_teacher"])
def test_each_term_trains_the_student_and_never_the_teacher(batch, name):
    learner = method()
    only(learner, batch)[name].backward()
    assert all(weight.grad.abs().max() > 1e-8 for weight in learner.student.parameters())
    assert all(weight.grad is None for weight in learner.teacher.parameters())


@pytest.mark.parametrize("step", [24, STEP])
def test_a_pixel_to_ignore_teaches_nothing_wherever_it_is_pasted(batch, step):
    learner = method(BcpOptions())
    changed = replace(batch, labels=torch.where(batch.valid, batch.labels, 1 - batch.labels))
    first, again = (only(learner, each, step) for each in (batch, changed))
    for name, loss in first.items():
        torch.testing.assert_close(loss, again[name])


def test_the_teacher_follows_its_one_student():
    learner = method(replace(OPTIONS, ema_limit=0.9))
    before = [weight.clone() for weight in learner.teacher.parameters()]
    learner.after_update(50)
    pairs = zip(before, learner.teacher.parameters(), learner.student.parameters(), strict=True)
    for old, new, student in pairs:
        torch.testing.assert_close(new, 0.9 * old + 0.1 * student.detach())
