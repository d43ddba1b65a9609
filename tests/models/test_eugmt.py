"""EUGMT's two updates, put together from its parts, and that every term trains what it should."""

from dataclasses import replace

import pytest
import torch

from models.semisup.eugmt import Eugmt
from models.semisup.eugmt_options import EugmtOptions
from models.semisup.exchange import exchange, sources
from models.semisup.losses import dice_loss, masked_consistency, mean_entropy
from models.semisup.mixing import MIXTURES
from models.semisup.schedules import ramp
from tests.support.small import network

STEPS, STEP = 100, 40
OPTIONS = EugmtOptions(grid=4, least_share=0.0)
FIRST = {"supervised", "cross_pseudo", "from_teacher", "consistency"}
SECOND = {"exchanged_supervised", "exchanged_cross_pseudo", "exchanged_from_teacher"}


def method(options=OPTIONS):
    return Eugmt((network(1), network(2)), network(3), options, steps=STEPS)


def test_first_update_is_the_equation(batch):
    learner = method(replace(OPTIONS, unsupervised_weight=0.7, consistency_weight=0.3))
    losses = next(learner.updates(batch, STEP))
    first, second = learner.students
    with torch.no_grad():
        teacher = learner.teacher(batch.unlabelled)
        noisy = learner.teacher(batch.unlabelled_noisy)
        supervised = sum(
            dice_loss(student(batch.labelled), batch.labels, batch.valid)
            for student in learner.students
        )
        u1, u2 = first(batch.unlabelled_strong[0]), second(batch.unlabelled_strong[1])
        cross = 0.5 * (dice_loss(u1, u2.argmax(1)) + dice_loss(u2, u1.argmax(1)))
        taught = 0.5 * sum(dice_loss(u, teacher.argmax(1)) for u in (u1, u2))
        probability = teacher.float().softmax(1)[:, 1].numpy()
        from models.semisup.confident import flagged

        doubts = [flagged(u.argmax(1).bool().numpy(), probability) for u in (u1, u2)]
        consistency = 0.5 * sum(
            masked_consistency(u, noisy, torch.from_numpy(doubt))
            for u, doubt in zip((u1, u2), doubts, strict=True)
        )
    assert all(doubt.any() for doubt in doubts), "nothing doubtful: the case shows nothing"
    torch.testing.assert_close(losses["supervised"].detach(), supervised)
    torch.testing.assert_close(losses["cross_pseudo"].detach(), cross)
    torch.testing.assert_close(losses["from_teacher"].detach(), taught)
    torch.testing.assert_close(losses["consistency"].detach(), consistency)
    total = supervised + ramp(STEP, STEPS) * (0.7 * (cross + taught) + 0.3 * consistency)
    torch.testing.assert_close(losses["total"].detach(), total)


def test_second_update_learns_the_mixed_images(batch):
    learner = method()
    with torch.no_grad():
        teacher = learner.teacher(batch.labelled), learner.teacher(batch.unlabelled)
        seen = [
            [student(batch.labelled) for student in learner.students],
            [s(v) for s, v in zip(learner.students, batch.unlabelled_strong, strict=True)],
        ]
        maps = [
            sources(*(mean_entropy(each, guide) for each in pair), count=2, grid=4)
            for pair, guide in zip(seen, teacher, strict=True)
        ]
        labelled = exchange(batch.labelled_strong, maps[0], grid=4)
        unlabelled = exchange(batch.unlabelled_strong[0], maps[1], grid=4)
        labels, valid = (exchange(each, maps[0], grid=4) for each in (batch.labels, batch.valid))
        pseudo = exchange(teacher[1].argmax(1), maps[1], grid=4)
        supervised = sum(dice_loss(s(labelled), labels, valid) for s in learner.students)
        u1, u2 = (student(unlabelled) for student in learner.students)
        cross = 0.5 * (dice_loss(u1, u2.argmax(1)) + dice_loss(u2, u1.argmax(1)))
        taught = 0.5 * (dice_loss(u1, pseudo) + dice_loss(u2, pseudo))
    _, losses = learner.updates(batch, STEP)
    assert not torch.equal(labelled, batch.labelled_strong)
    torch.testing.assert_close(losses["exchanged_supervised"].detach(), supervised)
    torch.testing.assert_close(losses["exchanged_cross_pseudo"].detach(), cross)
    torch.testing.assert_close(losses["exchanged_from_teacher"].detach(), taught)
    total = supervised + ramp(STEP, STEPS) * (cross + taught)
    torch.testing.assert_close(losses["total"].detach(), total)


def gradients(module):
    return [w.grad for w in module.parameters()]


@pytest.mark.parametrize("name", sorted(FIRST | SECOND))
def test_each_term_trains_both_students_and_never_the_teacher(batch, name):
    learner = method()
    found = {key: loss for losses in learner.updates(batch, STEP) for key, loss in losses.items()}
    found[name].backward()
    for student in learner.students:
        assert all(grad is not None for grad in gradients(student)), name
        assert any(grad.abs().max() > 1e-8 for grad in gradients(student)), name
    assert all(grad is None for grad in gradients(learner.teacher))


def test_terms_are_named_and_totals_hold_their_terms(batch):
    first, second = method().updates(batch, STEP)
    assert set(first) == FIRST | {"total"}
    assert set(second) == SECOND | {"total"}


def test_pseudo_labels_are_targets_not_parameters(batch):
    """The other student's labels are constants: its own gradient is that of its own loss alone."""
    learner = method()
    losses = next(learner.updates(batch, STEP))
    losses["cross_pseudo"].backward()
    together = [grad.clone() for grad in gradients(learner.students[0])]
    learner.students[0].zero_grad()
    with torch.no_grad():
        labels = learner.students[1](batch.unlabelled_strong[1]).argmax(1)
    (0.5 * dice_loss(learner.students[0](batch.unlabelled_strong[0]), labels)).backward()
    for ours, alone in zip(together, gradients(learner.students[0]), strict=True):
        torch.testing.assert_close(ours, alone)


def test_without_consistency_it_is_ucmt(batch):
    ucmt = method(replace(OPTIONS, consistency_weight=0.0))
    assert float(next(ucmt.updates(batch, STEP))["consistency"]) == 0


def test_without_exchange_there_is_one_update(batch):
    assert len(list(method(replace(OPTIONS, exchanged=0)).updates(batch, STEP))) == 1


def test_labels_come_first_and_the_ramp_after_them(batch):
    learner = method(replace(OPTIONS, labelled_share=0.5, ramp_share=0.2))
    before = list(learner.updates(batch, 49))
    assert [set(losses) for losses in before] == [{"total", "supervised"}]
    torch.testing.assert_close(before[0]["total"], before[0]["supervised"])
    for step, rising in ((50, ramp(0, 20)), (60, ramp(10, 20)), (80, 1.0)):
        losses = next(learner.updates(batch, step))
        rest = losses["cross_pseudo"] + losses["from_teacher"] + losses["consistency"]
        torch.testing.assert_close(losses["total"], losses["supervised"] + rising * rest)


def test_joint_batches_are_the_same_without_batch_norm(batch):
    joint = method(replace(OPTIONS, joint_batches=True))
    pairs = zip(method().updates(batch, STEP), joint.updates(batch, STEP), strict=True)
    for apart, together in pairs:
        for name, loss in apart.items():
            torch.testing.assert_close(loss, together[name], rtol=1e-9, atol=1e-12)


def test_a_pixel_to_ignore_teaches_nothing(batch):
    changed = replace(batch, labels=torch.where(batch.valid, batch.labels, 1 - batch.labels))
    first, again = (list(method().updates(each, STEP)) for each in (batch, changed))
    for ours, theirs in zip(first, again, strict=True):
        torch.testing.assert_close(ours["total"], theirs["total"])


def test_the_teacher_follows_after_an_update():
    mixed = replace(OPTIONS, ema_limit=0.9, student_mix=0.75, fork=True, labelled_share=0.1)
    learner = method(mixed)
    before = [w.clone() for w in learner.teacher.parameters()]
    learner.after_update(50)
    students = zip(*(student.parameters() for student in learner.students), strict=True)
    moved = zip(before, learner.teacher.parameters(), students, strict=True)
    for old, new, (one, two) in moved:
        torch.testing.assert_close(new, 0.9 * old + 0.1 * (0.75 * one + 0.25 * two).detach())


@pytest.mark.parametrize("choice", [{"student_mix": 0.5}, {"alternating": True}])
def test_no_teacher_is_the_average_of_students_of_different_origin(choice):
    for alone in ({}, {"fork": True}, {"labelled_share": 0.5}):
        with pytest.raises(ValueError, match="different origin"):
            replace(OPTIONS, **choice, **alone)
    replace(OPTIONS, **choice, fork=True, labelled_share=0.5)


@pytest.mark.parametrize("steady", [False, True])
def test_the_paper_keeps_the_teacher_in_training_mode(steady):
    assert method(replace(OPTIONS, steady_teacher=steady)).teacher.training is not steady


def test_a_fork_learns_alone_and_then_is_two(batch):
    learner = method(replace(OPTIONS, fork=True, labelled_share=0.5))
    first, second = learner.students
    optimiser = torch.optim.AdamW([*first.parameters(), *second.parameters()], lr=0.01)
    for step in (48, 49):
        (losses,) = learner.updates(batch, step)
        optimiser.zero_grad()
        losses["total"].backward()
        optimiser.step()
        learner.after_update(step)
    assert any(grad.abs().max() > 0 for grad in gradients(first))
    pairs = list(zip(first.parameters(), second.parameters(), strict=True))
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    # the optimiser knows both: student 2 does not begin with steps of the whole learning rate
    for ours, theirs in pairs:
        assert optimiser.state[ours].keys() == optimiser.state[theirs].keys() != set()
        for moment in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(optimiser.state[ours][moment], optimiser.state[theirs][moment])
    for mine, other in zip(first.buffers(), second.buffers(), strict=True):
        assert torch.equal(mine, other)
    assert len(list(learner.updates(batch, 50))) == 2
    optimiser.zero_grad()
    sum(each.square().sum() for each in first.parameters()).backward()
    assert all(grad is None for grad in gradients(second))


def test_the_teacher_looks_at_labelled_images_only_where_cells_are_exchanged(batch):
    for exchanged in (0, 2):
        learner = method(replace(OPTIONS, exchanged=exchanged))
        list(learner.updates(batch, STEP))
        predicted = learner.predict(batch, batch.labelled, MIXTURES["none"](batch))
        assert (predicted.teacher_labelled is None) == (exchanged == 0)


def test_while_a_fork_is_one_its_teacher_follows_that_one():
    learner = method(replace(OPTIONS, fork=True, labelled_share=0.5, student_mix=0.5))
    learner.after_update(0)
    for mean, weight in zip(
        learner.teacher.parameters(), learner.students[0].parameters(), strict=True
    ):
        torch.testing.assert_close(mean, weight)


def test_only_sure_pseudo_labels_are_learned(batch):
    learner = method(replace(OPTIONS, confidence=0.55))
    losses = next(learner.updates(batch, STEP))
    first, second = learner.students
    with torch.no_grad():
        u1, u2 = first(batch.unlabelled_strong[0]), second(batch.unlabelled_strong[1])
        teacher = learner.teacher(batch.unlabelled)
        sure1, sure2, sure = (z.softmax(1).amax(1) >= 0.55 for z in (u1, u2, teacher))
        assert all(0 < each.double().mean() < 1 for each in (sure1, sure2, sure))
        cross = 0.5 * (dice_loss(u1, u2.argmax(1), sure2) + dice_loss(u2, u1.argmax(1), sure1))
        taught = 0.5 * sum(dice_loss(u, teacher.argmax(1), sure) for u in (u1, u2))
    torch.testing.assert_close(losses["cross_pseudo"].detach(), cross)
    torch.testing.assert_close(losses["from_teacher"].detach(), taught)
