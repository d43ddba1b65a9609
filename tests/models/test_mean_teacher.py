"""Mean Teacher, UA-MT and AC-MT: every term from its formula in NumPy, and what it trains."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models.semisup.ac_mt import AmbiguityOptions, AmbiguityStudent
from models.semisup.confident import flagged
from models.semisup.mean_teacher import ConsistencyOptions, ConsistentStudent
from models.semisup.ua_mt import UncertaintyAwareStudent, UncertaintyOptions, dropping
from tests.support.small import network

STEPS, STEP = 100, 40
RAMP = math.exp(-5 * (1 - STEP / STEPS) ** 2)
PLAIN = ConsistencyOptions(labelled_share=0.0)
SURE = UncertaintyOptions(labelled_share=0.0)
DOUBT = AmbiguityOptions(ramp_share=1.0, least_share=0.0)
KINDS = [(ConsistentStudent, PLAIN), (UncertaintyAwareStudent, SURE), (AmbiguityStudent, DOUBT)]


def method(kind=ConsistentStudent, options=PLAIN):
    """Give a student a teacher that is sure of some pixels and unsure of others."""
    teacher = network(2)
    with torch.no_grad():
        teacher[2].weight.mul_(8)
    return kind(network(1), teacher, options, steps=STEPS)


def probabilities(net, images):
    """Softmax of two classes, written out: float64 (B, 2, H, W)."""
    with torch.no_grad():
        logits = net(images).numpy()
    raised = np.exp(logits)
    return raised / raised.sum(1, keepdims=True)


def dice_and_cross_entropy(p, labels, valid):
    """Half the pooled Dice loss of both classes and half the cross entropy, over valid pixels."""
    entropy, dice = 0.0, []
    for label in (0, 1):
        of_class = valid & (labels == label)
        entropy -= np.log(p[:, label][of_class]).sum()
        overlap, total = p[:, label][of_class].sum(), p[:, label][valid].sum() + of_class.sum()
        dice.append(1 - (2 * overlap + 1e-5) / (total + 1e-5))
    return 0.5 * np.mean(dice) + 0.5 * entropy / valid.sum()


def supervised(learner, batch):
    p = probabilities(learner.student, batch.labelled)
    return dice_and_cross_entropy(p, batch.labels.numpy(), batch.valid.numpy())


def squares(learner, batch):
    """Squared differences (B, 2, H, W) of student and teacher on a clean and a noisy image."""
    ours = probabilities(learner.student, batch.unlabelled)
    return (ours - probabilities(learner.teacher, batch.unlabelled_noisy)) ** 2


def only(learner, batch, step=STEP):
    losses = list(learner.updates(batch, step))
    assert len(losses) == 1
    return {name: loss.detach().item() for name, loss in losses[0].items()}


def test_mean_teacher_is_the_equation(batch):
    learner = method(options=replace(PLAIN, unsupervised_weight=0.3))
    losses = only(learner, batch)
    labelled, consistency = supervised(learner, batch), squares(learner, batch).mean()
    assert losses["supervised"] == pytest.approx(labelled)
    assert losses["consistency"] == pytest.approx(consistency)
    assert losses["total"] == pytest.approx(labelled + 0.3 * RAMP * consistency)


def entropy(p):
    return -(p * np.log(p + 1e-6)).sum(1)


def test_ua_mt_counts_where_the_teacher_is_sure(batch):
    learner = method(UncertaintyAwareStudent, replace(SURE, looks=3, sure_at_first=0.5))
    torch.manual_seed(5)
    losses = only(learner, batch)
    torch.manual_seed(5)
    looks = []
    for _ in range(3):
        noise = np.clip(0.1 * torch.randn_like(batch.unlabelled).numpy(), -0.2, 0.2)
        noisy = batch.unlabelled + torch.from_numpy(noise)
        looks.append(probabilities(learner.teacher, noisy))
    sure = entropy(np.mean(looks, axis=0)) < (0.5 + 0.5 * RAMP) * math.log(2)
    assert 0.05 < sure.mean() < 0.95, "all alike: the case shows nothing"
    counted = squares(learner, batch)[np.repeat(sure[:, None], 2, 1)]
    assert losses["consistency"] == pytest.approx(counted.sum() / (2 * sure.sum()))
    total = supervised(learner, batch) + 0.1 * RAMP * losses["consistency"]
    assert losses["total"] == pytest.approx(total)


def test_in_the_end_nearly_every_pixel_is_sure_enough(batch):
    """The threshold ends at ln 2, which only a pixel of even odds reaches."""
    learner = method(UncertaintyAwareStudent, SURE)
    assert learner.counted(batch, learner.student(batch.unlabelled), STEPS).double().mean() > 0.99


@pytest.mark.parametrize("drop_agreeing", [False, True])
def test_ac_mt_counts_where_the_students_label_is_doubtful(batch, drop_agreeing):
    learner = method(AmbiguityStudent, replace(DOUBT, drop_agreeing=drop_agreeing))
    losses = only(learner, batch)
    labels = probabilities(learner.student, batch.unlabelled).argmax(1).astype(bool)
    reference = probabilities(learner.teacher, batch.unlabelled)[:, 1]
    doubts = flagged(labels, reference, drop_agreeing=drop_agreeing)
    assert 0.01 < doubts.mean() < 0.95, "all alike: the case shows nothing"
    counted = squares(learner, batch)[np.repeat(doubts[:, None], 2, 1)]
    assert losses["consistency"] == pytest.approx(counted.sum() / (2 * doubts.sum()))


def test_ac_mt_judges_no_class_that_is_nearly_absent(batch):
    learner = method(AmbiguityStudent, replace(DOUBT, least_share=0.9))
    assert only(learner, batch)["consistency"] == 0


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_each_term_trains_the_student_and_never_the_teacher(batch, kind, options):
    for name in ("supervised", "consistency"):
        learner = method(kind, options)
        next(learner.updates(batch, STEP))[name].backward()
        assert all(w.grad.abs().max() > 1e-8 for w in learner.student.parameters()), name
        assert all(w.grad is None for w in learner.teacher.parameters())


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_labels_alone_come_first(batch, kind, options):
    learner = method(kind, replace(options, labelled_share=0.5, ramp_share=0.2))
    before = only(learner, batch, 49)
    assert set(before) == {"total", "supervised"}
    assert before["total"] == before["supervised"] == pytest.approx(supervised(learner, batch))
    for step, rising in ((50, math.exp(-5)), (60, math.exp(-5 / 4)), (70, 1.0), (99, 1.0)):
        losses = only(learner, batch, step)
        total = losses["supervised"] + 0.1 * rising * losses["consistency"]
        assert losses["total"] == pytest.approx(total)


def test_the_papers_values_are_the_defaults():
    assert replace(ConsistencyOptions(), labelled_share=0.0) == PLAIN
    assert (PLAIN.unsupervised_weight, PLAIN.ramp_share, PLAIN.ema_limit) == (0.1, 1.0, 0.99)
    assert ConsistencyOptions().labelled_share == pytest.approx(1000 / 30000)
    assert (SURE.looks, SURE.sure_at_first) == (8, 0.75)
    assert AmbiguityOptions().ramp_share == 6000 / 8000


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_joint_batches_are_the_same_without_batch_norm(batch, kind, options):
    both = []
    for joint in (False, True):
        torch.manual_seed(3)
        both.append(only(method(kind, replace(options, joint_batches=joint)), batch))
    assert both[0] == pytest.approx(both[1])


@pytest.mark.parametrize("strong", [False, True])
def test_the_strong_view_of_labelled_images_by_option(batch, strong):
    learner = method(options=replace(PLAIN, strong_labelled=strong))
    shown = replace(batch, labelled=batch.labelled_strong) if strong else batch
    assert only(learner, batch)["supervised"] == pytest.approx(supervised(learner, shown))


def test_the_teacher_follows_its_one_student():
    learner = method(options=replace(PLAIN, ema_limit=0.9))
    before = [weight.clone() for weight in learner.teacher.parameters()]
    learner.after_update(50)
    pairs = zip(before, learner.teacher.parameters(), learner.student.parameters(), strict=True)
    for old, new, student in pairs:
        torch.testing.assert_close(new, 0.9 * old + 0.1 * student.detach())
    learner.after_update(0)
    for new, student in zip(
        learner.teacher.parameters(), learner.student.parameters(), strict=True
    ):
        assert torch.equal(new, student)


@pytest.mark.parametrize("steady", [False, True])
def test_a_steady_teacher_is_in_eval_mode_and_takes_the_statistics(steady):
    student, teacher = (nn.Sequential(nn.BatchNorm2d(2)) for _ in range(2))
    student[0].running_mean.fill_(3.0)
    learner = ConsistentStudent(
        student, teacher, replace(PLAIN, steady_teacher=steady), steps=STEPS
    )
    learner.after_update(0)
    assert teacher.training is not steady
    assert teacher[0].running_mean.tolist() == ([3.0, 3.0] if steady else [0.0, 0.0])


def test_ua_mt_looks_with_dropout_even_through_a_steady_teacher(batch):
    def dropper():
        return nn.Sequential(
            nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 1)
        )

    options = replace(SURE, steady_teacher=True, looks=1)
    teacher = dropper().double()
    learner = UncertaintyAwareStudent(dropper().double(), teacher, options, steps=STEPS)
    with dropping(teacher):
        assert [part.training for part in teacher] == [False, False, True, False]
    assert not any(part.training for part in teacher.modules())
    with torch.no_grad():
        torch.manual_seed(0)
        looked = learner.entropy(batch.unlabelled)
        torch.manual_seed(0)
        noise = (0.1 * torch.randn_like(batch.unlabelled)).clamp(-0.2, 0.2)
        undropped = entropy(probabilities(teacher, batch.unlabelled + noise))
    assert np.abs(looked.numpy() - undropped).max() > 0.01
    assert not any(part.training for part in teacher.modules())
