"""MMS's four terms against independent formulations, and that projector and classifier learn."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.semisup.mms import (
    MinMaxOptions,
    MinMaxSimilarity,
    embedding,
    min_max_similarity,
    places,
    structure_loss,
)
from tests.support.small import network, sample_batch

OPTIONS = MinMaxOptions()
TERMS = {"supervised", "agreement", "similar", "apart"}


def method(options=OPTIONS):
    torch.manual_seed(7)
    projector, classifier = embedding(1, 8, 16).double(), embedding(1, 8, 16, 32).double()
    return MinMaxSimilarity((network(1), network(2)), projector, classifier, options, steps=100)


def gradients(module):
    return [weight.grad for weight in module.parameters()]


def one_channel(student, images):
    logits = student(images)
    return logits[:, 1:] - logits[:, :1]


def test_structure_loss_by_hand():
    """Four pixels in a row, window 3: the means around them are 1, 2/3, 1/3 and 0."""
    labels = torch.tensor([[[1, 1, 0, 0]]])
    chance = [0.9, 0.6, 0.3, 0.2]
    logits = torch.tensor([[chance]], dtype=torch.float64).logit()
    valid = torch.tensor([[[True, True, True, False]]])
    weight = [1, 1 + 5 / 3, 1 + 5 / 3]
    surprise = [-math.log(0.9), -math.log(0.6), -math.log(0.7)]
    entropy = sum(w * s for w, s in zip(weight, surprise, strict=True)) / sum(weight)
    shared = weight[0] * 0.9 + weight[1] * 0.6
    either = weight[0] * 1 + weight[1] * 1 + weight[2] * 0.3
    expected = entropy + 1 - (shared + 1) / (either + 1)
    found = structure_loss(logits, labels, valid, edge_weight=5.0, window=3)
    assert found.tolist() == pytest.approx([expected])


def test_a_perfect_prediction_has_no_structure_loss():
    labels = torch.tensor([[[1, 0], [0, 1]]])
    logits = 60.0 * (2 * labels.double() - 1)
    found = structure_loss(logits, labels, labels >= 0, edge_weight=5.0, window=31)
    assert float(found) == pytest.approx(0, abs=1e-9)


def test_embeddings_halve_and_features_are_l1_normalised(batch):
    logits = one_channel(network(1), batch.unlabelled).detach()
    projector, classifier = embedding(1, 8, 16).double(), embedding(1, 8, 16, 32).double()
    assert projector(logits).shape == (2, 16, 8, 8)
    assert classifier(logits).shape == (2, 32, 4, 4)
    assert not any(isinstance(layer, nn.ReLU) for layer in list(projector)[-2:])
    features = projector(logits)
    found = places(features)
    assert found.shape == (2, 64, 16)
    torch.testing.assert_close(found.abs().sum(2), torch.ones(2, 64).double())
    torch.testing.assert_close(
        found[1, 8 * 3 + 5], features[1, :, 3, 5] / features[1, :, 3, 5].abs().sum()
    )


def test_the_losses_are_the_equations(batch):
    learner = method()
    losses = next(learner.updates(batch, 0))
    first, second = learner.students
    with torch.no_grad():
        supervised = sum(
            structure_loss(
                one_channel(student, batch.labelled)[own, 0],
                batch.labels[own],
                batch.valid[own],
                edge_weight=5.0,
                window=31,
            ).mean()
            for student, own in zip(learner.students, ([0], [1]), strict=True)
        )
        one = one_channel(first, batch.unlabelled_strong[0])
        two = one_channel(second, batch.unlabelled_strong[1])
        agreement = F.binary_cross_entropy(one.sigmoid(), two.sigmoid())
        agreement = agreement + F.binary_cross_entropy(two.sigmoid(), one.sigmoid())
        tables = [
            a @ b.T / 0.07
            for a, b in zip(*(places(learner.projector(each)) for each in (one, two)), strict=True)
        ]
        similar = -torch.stack(
            [(table.diag() - table.logsumexp(axis)).mean() for table in tables for axis in (0, 1)]
        ).mean()
        # image 0 is student 1's, image 1 student 2's: one pair
        one, two = (
            places(learner.classifier(one_channel(student, batch.labelled)))
            for student in learner.students
        )
        table = one[0] @ two[1].T / 0.07
        apart = 0.5 * sum(torch.log1p(table.exp().sum(axis)).mean() for axis in (0, 1))
    expected = {
        "supervised": supervised,
        "agreement": agreement,
        "similar": similar,
        "apart": apart,
        "total": (supervised + agreement + similar + apart) / 4,
    }
    assert set(losses) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name].detach(), value, msg=name)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_each_term_trains_both_students(batch, name):
    learner = method()
    next(learner.updates(batch, 0))[name].backward()
    for student in learner.students:
        assert all(grad is not None for grad in gradients(student))
        assert any(grad.abs().max() > 1e-8 for grad in gradients(student))


@pytest.mark.parametrize(("name", "trained"), [("similar", "projector"), ("apart", "classifier")])
def test_projector_and_classifier_learn_from_their_contrast(batch, name, trained):
    learner = method()
    next(learner.updates(batch, 0))[name].backward()
    for part in ("projector", "classifier"):
        found = gradients(getattr(learner, part))
        if part == trained:
            assert all(grad is not None for grad in found)
            assert any(grad.abs().max() > 1e-8 for grad in found)
        else:
            assert all(grad is None for grad in found)


@pytest.mark.parametrize("name", ["similar", "apart"])
def test_the_contrasts_can_be_learned(batch, name):
    learner = method()
    optimiser = torch.optim.Adam(
        (learner.projector, learner.classifier)[name == "apart"].parameters(), lr=1e-2
    )
    course = []
    for _ in range(15):
        loss = next(learner.updates(batch, 0))[name]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        course.append(loss.detach())
    assert course[-1] < course[0] - 0.05


@pytest.mark.parametrize("loss", ["structure", "dice", "dice+ce"])
def test_labels_of_one_half_alone_teach_one_student(batch, loss):
    even = replace(batch, source=torch.tensor([0, 2]))
    learner = method(replace(OPTIONS, loss=loss))
    losses = next(learner.updates(even, 0))
    assert not losses["apart"]
    losses["supervised"].backward()
    assert any(grad.any() for grad in gradients(learner.students[0]))
    assert not any(grad is not None and grad.any() for grad in gradients(learner.students[1]))


def test_pairs_are_of_different_halves():
    batch = replace(sample_batch(count=3), source=torch.tensor([1, 4, 3]))
    learner = method()
    apart = next(learner.updates(batch, 0))["apart"].detach()
    with torch.no_grad():
        one, two = (
            places(learner.classifier(one_channel(student, batch.labelled)))
            for student in learner.students
        )
        tables = [one[1] @ two[other].T / 0.07 for other in (0, 2)]
        expected = 0.25 * sum(
            torch.log1p(table.exp().sum(axis)).mean() for table in tables for axis in (0, 1)
        )
    torch.testing.assert_close(apart, expected)


def test_labels_come_first_if_so_wished(batch):
    learner = method(replace(OPTIONS, labelled_share=0.5, ramp_share=0.2))
    (early,) = learner.updates(batch, 49)
    assert set(early) == {"total", "supervised"}
    torch.testing.assert_close(early["total"], early["supervised"] / 4)
    losses = next(learner.updates(batch, 70))
    torch.testing.assert_close(losses["total"], sum(losses[name] for name in TERMS) / 4)


def test_the_factory_gives_two_students_and_the_model_is_the_first():
    learner, again = (min_max_similarity(network, MinMaxOptions(), 10) for _ in range(2))
    assert learner.teacher is learner.students[0]
    assert learner.extras == (learner.projector, learner.classifier)
    for ours, theirs in zip(learner.extras, again.extras, strict=True):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)
