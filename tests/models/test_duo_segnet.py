"""Duo-SegNet's two updates against their equations, and who moves in which."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from models.semisup.duo_segnet import DuoSegNet, DuoSegNetOptions, PixelCritic, duo_segnet
from models.semisup.label_halves import supervised_half
from tests.support.small import network

OPTIONS = DuoSegNetOptions(critic_stride=1)


def method(options=OPTIONS):
    torch.manual_seed(7)
    return DuoSegNet((network(1), network(2)), PixelCritic().double(), options, steps=100)


def all_losses(learner, batch, step=0):
    return {key: loss for losses in learner.updates(batch, step) for key, loss in losses.items()}


def gradients(*modules):
    return [weight.grad for module in modules for weight in module.parameters()]


def predictions(learner, batch):
    """Membrane probabilities: labelled of both students, then unlabelled of both."""
    return [
        student(images).softmax(1)[:, 1:].detach()
        for images in (batch.labelled, batch.unlabelled)
        for student in learner.students
    ]


def as_convolutions(critic, images):
    """The critic written out as what it does to every pixel: 1 -> 64 -> 128 -> 1."""
    first, second, third = (critic[place] for place in (0, 2, 5))
    pixels = images.reshape(-1, 1)
    hidden = F.leaky_relu(pixels @ first.weight.flatten(1).T + first.bias, 0.2)
    hidden = hidden @ second.weight.flatten(1).T
    centred = hidden - hidden.mean(0)
    hidden = centred / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
    hidden = F.leaky_relu(hidden * critic[3].weight + critic[3].bias, 0.2)
    return (hidden @ third.weight.flatten(1).T + third.bias).sigmoid().view(images.shape)


def test_the_critic_is_a_function_of_single_pixels():
    critic = PixelCritic().double()
    images = torch.rand(2, 1, 8, 8).double()
    torch.testing.assert_close(critic(images).sigmoid(), as_convolutions(critic, images))
    order = torch.randperm(64)
    shuffled = critic(images.flatten(2)[..., order].view(2, 1, 8, 8))
    torch.testing.assert_close(shuffled.flatten(), critic(images).flatten(2)[..., order].flatten())


def test_the_students_update_is_the_equation(batch):
    learner = method(replace(OPTIONS, agreement_weight=0.3, adversarial_weight=0.7))
    losses = next(learner.updates(batch, 0))
    with torch.no_grad():
        supervised = sum(
            supervised_half("dice+ce", student(batch.labelled), batch, half)
            for half, student in enumerate(learner.students)
        )
        chances = predictions(learner, batch)
        one, two = chances[2:]
        agreement = F.binary_cross_entropy(one, two) + F.binary_cross_entropy(two, one)
        taken_for_masks = [as_convolutions(learner.critic, each) for each in chances]
        adversarial = -0.5 * sum(each.log().mean() for each in taken_for_masks)
    torch.testing.assert_close(losses["supervised"].detach(), supervised)
    torch.testing.assert_close(losses["agreement"].detach(), agreement)
    torch.testing.assert_close(losses["adversarial"].detach(), adversarial)
    total = supervised + 0.3 * agreement + 0.7 * adversarial
    torch.testing.assert_close(losses["total"].detach(), total)


def test_the_critics_update_is_the_equation(batch):
    learner = method()
    losses = list(learner.updates(batch, 0))[1]
    masks = batch.labels.unsqueeze(1).double()
    real = as_convolutions(learner.critic, masks).log()[batch.valid.unsqueeze(1)].mean()
    false = sum(
        (1 - as_convolutions(learner.critic, each)).log().mean()
        for each in predictions(learner, batch)
    )
    torch.testing.assert_close(losses["total"], -0.5 * (real + false / 4))
    assert losses["critic"] is losses["total"]


@pytest.mark.parametrize("name", ["supervised", "agreement", "adversarial"])
def test_each_term_trains_both_students_and_never_the_critic(batch, name):
    learner = method()
    all_losses(learner, batch)[name].backward()
    for student in learner.students:
        assert any(grad is not None and grad.abs().max() > 1e-8 for grad in gradients(student))
    assert all(grad is None for grad in gradients(learner.critic))


def test_students_and_critic_learn_in_turn(batch):
    learner = method()
    both = [*learner.students, learner.critic]
    optimiser = torch.optim.AdamW([w for net in both for w in net.parameters()], lr=1e-2)

    def state():
        return [
            {name: value.detach().clone() for name, value in net.state_dict().items()}
            for net in both
        ]

    course = [state()]
    for _ in range(2):
        for losses in learner.updates(batch, 0):
            optimiser.zero_grad(set_to_none=True)
            losses["total"].backward()
            optimiser.step()
            course.append(state())
    # all that a network holds: statistics, too, had it any
    moved = [
        [any(not torch.equal(old[name], new[name]) for name in old) for old, new in pairs]
        for pairs in (zip(*both_times, strict=True) for both_times in pairwise(course))
    ]
    assert moved == [[True, True, False], [False, False, True]] * 2


def test_the_critic_learns_to_tell_masks_from_predictions(batch):
    learner = method(DuoSegNetOptions(critic_stride=4))
    optimiser = torch.optim.Adam(learner.critic.parameters(), lr=1e-2)
    course = []
    for _ in range(80):
        loss = list(learner.updates(batch, 0))[1]["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        course.append(loss.detach())
    assert course[-1] < 0.5 * course[0]


def test_a_student_learns_from_its_half_of_the_labels_alone(batch):
    """Other labels in the odd image change what student 2 learns, and nothing of student 1."""
    other = replace(batch, labels=torch.stack([batch.labels[0], 1 - batch.labels[1]]))
    learned = []
    for each in (batch, other):
        learner = method()
        all_losses(learner, each)["supervised"].backward()
        learned.append([gradients(student) for student in learner.students])
    assert all(torch.equal(a, b) for a, b in zip(learned[0][0], learned[1][0], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(learned[0][1], learned[1][1], strict=True))


def test_what_was_released_trains_cross_entropy_and_unlabelled_images_alone(batch):
    """The values are the same, but Dice, L_diff and the labelled part of L_adv are constants."""
    released, whole = method(replace(OPTIONS, as_released=True)), method()
    ours, theirs = (next(learner.updates(batch, 0)) for learner in (whole, released))
    for name in ("supervised", "agreement", "adversarial", "total"):
        torch.testing.assert_close(ours[name], theirs[name])
    theirs["total"].backward()
    alone = method()
    even = (batch.source % 2 == 0).view(-1, 1, 1)
    loss = 0
    for student, own in zip(alone.students, (even, ~even), strict=True):
        each = F.cross_entropy(student(batch.labelled), batch.labels, reduction="none")
        loss = loss + 0.5 * each[batch.valid & own].mean()
        chance = student(batch.unlabelled).softmax(1)[:, 1:]
        loss = loss - 0.2 * 0.5 * as_convolutions(alone.critic, chance).log().mean()
    loss.backward()
    found, expected = (gradients(*learner.students) for learner in (released, alone))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_coarser_critic_sees_every_pixel_in_turn(batch):
    learner = method(DuoSegNetOptions(critic_stride=2))
    places = torch.arange(64).view(1, 1, 8, 8)
    seen = [learner.looked_at(places, step).flatten().tolist() for step in range(5, 9)]
    assert sorted(torch.tensor(seen).flatten().tolist()) == list(range(64))
    first, again = (next(learner.updates(batch, step))["adversarial"] for step in (0, 1))
    assert first != again


def test_labels_come_first_if_so_wished(batch):
    learner = method(replace(OPTIONS, labelled_share=0.5, ramp_share=0.2))
    assert [set(losses) for losses in learner.updates(batch, 49)] == [{"total", "supervised"}]
    losses = next(learner.updates(batch, 70))
    rest = 0.4 * losses["agreement"] + 0.2 * losses["adversarial"]
    torch.testing.assert_close(losses["total"], losses["supervised"] + rest)


def test_the_factory_gives_two_students_and_the_model_is_the_first():
    learner = duo_segnet(network, DuoSegNetOptions(), 10)
    again = duo_segnet(network, DuoSegNetOptions(), 10)
    assert learner.teacher is learner.students[0]
    assert learner.extras == (learner.critic,)
    for ours, theirs in zip(learner.critic.parameters(), again.critic.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.dtype == torch.float64
