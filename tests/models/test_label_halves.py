"""Half of the labels a student: whose image teaches whom, and what is left when there is none."""

from dataclasses import replace

import pytest
import torch

from models.semisup.extras import placed_like
from models.semisup.label_halves import (
    membrane_logit,
    mutual_cross_entropy,
    own_images,
    supervised_half,
)
from models.semisup.losses import segmentation_loss
from tests.support.small import network, sample_batch


@pytest.fixture
def four():
    return replace(sample_batch(count=4), source=torch.tensor([6, 3, 0, 4]))


@pytest.mark.parametrize("name", ["dice", "dice+ce"])
@pytest.mark.parametrize("half", [0, 1])
def test_a_half_is_the_loss_of_its_images_alone(four, name, half):
    own = [[0, 2, 3], [1]][half]
    logits = network(1)(four.labelled)
    alone = segmentation_loss(name, logits[own], four.labels[own], four.valid[own])
    torch.testing.assert_close(supervised_half(name, logits, four, half), alone)
    assert own_images(four, half).nonzero().flatten().tolist() == own


@pytest.mark.parametrize("name", ["dice", "dice+ce"])
def test_no_image_of_a_half_is_no_loss_and_no_gradient(four, name):
    even = replace(four, source=torch.tensor([0, 2, 2, 8]))
    logits = network(1)(even.labelled).detach().requires_grad_()
    loss = supervised_half(name, logits, even, 1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_mutual_cross_entropy_by_hand():
    def logits(chance):
        return torch.tensor([1 - chance, chance], dtype=torch.float64).log().view(1, 2, 1, 1)

    there = -(0.9 * torch.tensor(0.6).log() + 0.1 * torch.tensor(0.4).log())
    back = -(0.6 * torch.tensor(0.9).log() + 0.4 * torch.tensor(0.1).log())
    found = mutual_cross_entropy(logits(0.9), logits(0.6))
    assert float(found) == pytest.approx(float(there + back), abs=1e-6)


def test_the_membrane_logit_is_the_softmax_in_one_channel():
    logits = torch.randn(2, 2, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(membrane_logit(logits).sigmoid()[:, 0], logits.softmax(1)[:, 1])


def test_what_stands_beside_a_network_is_of_its_kind():
    module = placed_like(torch.nn.Conv2d(1, 1, 1).eval(), network(0))
    assert module.weight.dtype == torch.float64
    assert module.training
