"""Settled statistics: by hand, from when pseudo-labels begin, and fixed however one goes on."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from models.semisup.eugmt import Eugmt
from models.semisup.eugmt_options import EugmtOptions
from models.semisup.settling import fix, settle

STEPS, START = 100, 50
OPTIONS = EugmtOptions(
    grid=4, exchanged=0, labelled_share=0.5, fork=True, steady_teacher=True, settled=0.5
)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)
    ).double()


def test_a_share_of_the_statistics_is_the_images_own():
    norm = nn.BatchNorm2d(3)
    norm.running_mean.fill_(1.0)
    norm.running_var.fill_(9.0)
    images = torch.randn(16, 3, 5, 5) * 2 + 3
    settle(norm.eval(), images, share=0.25)
    torch.testing.assert_close(norm.running_mean, 0.75 + 0.25 * images.mean((0, 2, 3)))
    # of both batches of eight in turn
    variance = torch.stack([each.var((0, 2, 3)) for each in images.split(8)]).mean(0)
    torch.testing.assert_close(norm.running_var, 0.75 * 9 + 0.25 * variance)
    assert not norm.training
    assert norm.momentum == 0.1


def test_fixed_statistics_stay_while_the_batch_normalises():
    norm = nn.BatchNorm2d(3).train()
    fix([norm])
    seen = norm(torch.randn(4, 3, 8, 8) + 7)
    torch.testing.assert_close(seen.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    assert norm.running_mean.tolist() == [0, 0, 0]


def method():
    return Eugmt((network(1), network(2)), network(3), OPTIONS, steps=STEPS)


def learn(learner, batch, *steps):
    for step in steps:
        for _ in learner.updates(batch, step):
            learner.after_update(step)


def means(networks):
    return [each[0].running_mean.clone() for each in networks]


def test_all_networks_are_settled_when_pseudo_labels_begin_and_stay_so(batch):
    learner = method()
    networks = (learner.teacher, *learner.students)
    learn(learner, batch, START - 1)
    before = means(networks)
    learn(learner, batch, START)
    half = [0.5 * each + 0.5 * batch.whole.mean((0, 2, 3)) for each in before]
    for mean, own in zip(means(learner.students), half[1:], strict=True):
        torch.testing.assert_close(mean, own)
    settled = means(learner.students)
    # one that was killed and goes on: its networks are read back, and nothing else
    again = method()
    for ours, theirs in zip((again.teacher, *again.students), networks, strict=True):
        ours.load_state_dict(theirs.state_dict())
    for one in (learner, again):
        learn(one, batch, START + 1, START + 2)
        for mean, own in zip(means(one.students), settled, strict=True):
            assert torch.equal(mean, own)
    assert torch.equal(*means((learner.teacher, again.teacher)))


def test_a_teacher_that_normalises_by_its_batch_stays_settled_too(batch):
    options = replace(OPTIONS, steady_teacher=False)
    learner = Eugmt((network(1), network(2)), network(3), options, steps=STEPS)
    learn(learner, batch, START - 1)
    [before] = means([learner.teacher])
    learn(learner, batch, START, START + 1, START + 2)
    [after] = means([learner.teacher])
    torch.testing.assert_close(after, 0.5 * before + 0.5 * batch.whole.mean((0, 2, 3)))


def test_networks_that_know_nothing_are_not_settled(batch):
    options = replace(OPTIONS, labelled_share=0.0)
    learner = Eugmt((network(1), network(2)), network(3), options, steps=STEPS)
    learn(learner, batch, 0)
    first, _ = learner.students
    assert first[0].momentum == 0.1
    assert not torch.equal(first[0].running_mean, torch.zeros(3)), "it goes on learning them"


@pytest.mark.parametrize("share", [-0.5, 2.0, float("nan")])
def test_a_share_is_from_0_to_1(share):
    with pytest.raises(ValueError, match="from 0 to 1"):
        EugmtOptions(settled=share)
