"""Cross pseudo supervision: its terms from their formulas, pasted or not, and what they train."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from models.semisup.cps import CpsOptions, CrossPseudo
from models.semisup.losses import dice_loss
from models.semisup.paste import cut_boxes, partners
from tests.support.small import network, sample_batch

STEPS, STEP = 100, 40
RAMP = math.exp(-5 * (1 - STEP / STEPS) ** 2)
OPTIONS = CpsOptions()


def method(options=OPTIONS):
    return CrossPseudo((network(1), network(2)), options, steps=STEPS)


def only(learner, batch, step=STEP):
    losses = list(learner.updates(batch, step))
    assert len(losses) == 1
    return losses[0]


def supervised(learner, batch):
    """Half pooled Dice, half cross entropy of the valid pixels picked out, of both students."""
    total = 0
    for student in learner.students:
        logits = student(batch.labelled)
        picked = logits.movedim(1, -1)[batch.valid], batch.labels[batch.valid]
        dice = dice_loss(logits, batch.labels, batch.valid, whole_batch=True)
        total = total + 0.5 * dice + 0.5 * F.cross_entropy(*picked)
    return total


def test_both_learn_each_others_labels(batch):
    learner = method(replace(OPTIONS, unsupervised_weight=0.3))
    losses = only(learner, batch)
    with torch.no_grad():
        first, second = (student(batch.unlabelled) for student in learner.students)
        cross = 0
        for ours, theirs in ((first, second), (second, first)):
            log_odds = (ours[:, 1] - ours[:, 0]).flatten()
            membrane = (theirs[:, 1] > theirs[:, 0]).flatten()
            cross += torch.log1p(torch.exp(torch.where(membrane, -log_odds, log_odds))).mean()
        labelled = supervised(learner, batch)
    assert 0.01 < membrane.double().mean() < 0.99, "one class alone: the case shows little"
    torch.testing.assert_close(losses["supervised"].detach(), labelled)
    torch.testing.assert_close(losses["cross_pseudo"].detach(), cross)
    torch.testing.assert_close(losses["total"].detach(), labelled + 0.3 * RAMP * cross)


def pasted(learner, batch):
    """Paste pixel by pixel what the seed draws: the images, and each student's labels of them."""
    torch.manual_seed(4)
    partner = partners(batch.unlabelled)
    box = cut_boxes(batch.unlabelled, smallest=0.1, largest=0.5)
    images = batch.unlabelled.clone()
    with torch.no_grad():
        whole = [student(batch.unlabelled).argmax(1) for student in learner.students]
    labels = [each.clone() for each in whole]
    for image, row, column in box.nonzero().tolist():
        other = partner[image]
        images[image, :, row, column] = batch.unlabelled[other, :, row, column]
        for mixed, each in zip(labels, whole, strict=True):
            mixed[image, row, column] = each[other, row, column]
    return images, labels


def test_cutmix_teaches_the_pasted_labels_of_whole_images():
    batch = sample_batch(count=3)
    learner = method(replace(OPTIONS, cutmix=True))
    images, labels = pasted(learner, batch)
    with torch.no_grad():
        first, second = (student(images) for student in learner.students)
        cross = F.cross_entropy(first, labels[1]) + F.cross_entropy(second, labels[0])
    assert not torch.equal(first.argmax(1), labels[0]), "labels of the pasted image would do"
    torch.manual_seed(4)
    losses = only(learner, batch)
    torch.testing.assert_close(losses["cross_pseudo"].detach(), cross)
    total = supervised(learner, batch) + 0.1 * RAMP * cross
    torch.testing.assert_close(losses["total"], total)


@pytest.mark.parametrize("cutmix", [False, True])
@pytest.mark.parametrize("name", ["supervised", "cross_pseudo"])
def test_each_term_trains_both_students(batch, name, cutmix):
    learner = method(replace(OPTIONS, cutmix=cutmix))
    only(learner, batch)[name].backward()
    for student in learner.students:
        assert all(weight.grad.abs().max() > 1e-8 for weight in student.parameters())


def test_the_others_labels_are_targets_not_parameters(batch):
    learner = method()
    only(learner, batch)["cross_pseudo"].backward()
    together = [weight.grad.clone() for weight in learner.students[0].parameters()]
    learner.students[0].zero_grad()
    with torch.no_grad():
        labels = learner.students[1](batch.unlabelled).argmax(1)
    F.cross_entropy(learner.students[0](batch.unlabelled), labels).backward()
    for ours, weight in zip(together, learner.students[0].parameters(), strict=True):
        torch.testing.assert_close(ours, weight.grad)


def test_labels_alone_come_first(batch):
    learner = method(replace(OPTIONS, labelled_share=0.5, ramp_share=0.2, cutmix=True))
    before = only(learner, batch, 49)
    assert set(before) == {"total", "supervised"}
    torch.testing.assert_close(before["total"], supervised(learner, batch))
    for step, rising in ((50, math.exp(-5)), (60, math.exp(-5 / 4)), (99, 1.0)):
        losses = only(learner, batch, step)
        total = losses["supervised"] + 0.1 * rising * losses["cross_pseudo"]
        torch.testing.assert_close(losses["total"], total)


def test_the_first_student_is_what_is_left_behind_and_nothing_follows(batch):
    learner = method()
    assert learner.teacher is learner.students[0]
    before = [weight.clone() for weight in learner.teacher.parameters()]
    learner.after_update(50)
    for old, new in zip(before, learner.teacher.parameters(), strict=True):
        assert torch.equal(old, new)


def test_joint_batches_are_the_same_without_batch_norm(batch):
    apart, joint = (
        only(method(replace(OPTIONS, joint_batches=each)), batch) for each in (False, True)
    )
    for name, loss in apart.items():
        torch.testing.assert_close(loss, joint[name])


def test_strong_labelled_by_option(batch):
    learner = method(replace(OPTIONS, strong_labelled=True))
    expected = supervised(learner, replace(batch, labelled=batch.labelled_strong))
    torch.testing.assert_close(only(learner, batch)["supervised"], expected)
