"""Deep supervision: the structure loss by hand, and that each head's term trains."""

from dataclasses import replace

import pytest
import torch

from models.semisup.deep_supervised import DeepOptions, deep_supervised, structure_loss
from models.study.contenders import chosen
from models.study.protocol import Protocol
from tests.models.architectures.tiny import network as of_the_paper
from tests.support.small import network, sample_batch


def by_hand(logits, labels, valid):
    """One pixel at a time, the mean over 31 x 31 px with nothing outside the image."""
    losses = []
    for lead, mask, known in zip(logits[:, 1] - logits[:, 0], labels, valid, strict=True):
        height, width = mask.shape
        entropy = weights = overlap = union = 0.0
        for i in range(height):
            for j in range(width):
                rows = slice(max(0, i - 15), i + 16)
                around = float(mask[rows, max(0, j - 15) : j + 16].sum()) / 961
                m, p = float(mask[i, j]), float(torch.sigmoid(lead[i, j]))
                w = (1 + 5 * abs(around - m)) * float(known[i, j])
                true = p if m else 1 - p
                entropy -= w * float(torch.log(torch.tensor(true).double()))
                weights += w
                overlap += w * p * m
                union += w * (p + m - p * m)
        losses.append(entropy / weights + 1 - (overlap + 1) / (union + 1))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("ignoring", [False, True])
def test_the_structure_loss_is_that_of_its_equation(ignoring):
    batch = sample_batch(side=20)
    logits = torch.randn(2, 2, 20, 20, generator=torch.Generator().manual_seed(4)).double()
    valid = batch.valid if ignoring else torch.ones_like(batch.valid)
    found = structure_loss(logits, batch.labels, valid if ignoring else None)
    assert float(found) == pytest.approx(by_hand(logits, batch.labels, valid), rel=1e-6)


def test_a_perfect_prediction_costs_nothing_and_an_edge_weighs_more():
    labels = torch.zeros(1, 64, 64).long()
    labels[:, :, :32] = 1
    sure = 40.0 * (2 * labels - 1).double()
    logits = torch.stack([-sure, sure], 1)
    assert float(structure_loss(logits, labels)) == pytest.approx(0, abs=1e-9)

    def wrong_at(column):
        changed = logits.clone()
        changed[:, :, 20:40, column] *= -1
        return float(structure_loss(changed, labels))

    assert wrong_at(32) > 2 * wrong_at(50)


def test_a_pixel_that_is_ignored_has_no_gradient():
    batch = sample_batch()
    logits = torch.zeros(2, 2, 32, 32, dtype=torch.double, requires_grad=True)
    structure_loss(logits, batch.labels, batch.valid).backward()
    moved = logits.grad.abs().sum(1) > 0
    assert torch.equal(moved, batch.valid)


def test_where_nothing_is_known_there_is_no_loss():
    logits = torch.randn(1, 2, 32, 32, requires_grad=True)
    nothing = torch.zeros(1, 32, 32, dtype=torch.bool)
    loss = structure_loss(logits, torch.ones(1, 32, 32).long(), nothing)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_the_gradient_is_that_of_differences():
    batch = sample_batch(count=1, side=6)
    logits = torch.randn(1, 2, 6, 6, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda each: structure_loss(each, batch.labels, batch.valid), (logits,)
    )


def single(batch):
    return replace(
        batch,
        labelled=batch.labelled.float(),
        labelled_strong=batch.labelled_strong.float(),
    )


@pytest.mark.parametrize("name", ["transfuse", "fafuse"])
def test_the_total_is_the_contenders_weighted_sum_and_each_term_trains_its_head(name):
    (contender,) = chosen([name])
    options = contender.config(Protocol(loss="own"), steps=1, seed=0, threads=1).options
    assert options.head_weights == {"transfuse": (0.5, 0.3, 0.2), "fafuse": (0.7, 0.1, 0.2)}[name]
    student = of_the_paper(name)
    (losses,) = deep_supervised(lambda number: student, options, 1).updates(
        single(sample_batch(side=64)), 0
    )
    terms = [losses[f"head_{number}"] for number in (1, 2, 3)]
    expected = sum(w * float(term) for w, term in zip(options.head_weights, terms, strict=True))
    assert float(losses["total"]) == pytest.approx(expected, rel=1e-6)
    heads = (student.segmentation_head, student.transformer_head, student.coarse_head)
    total = [
        torch.autograd.grad(losses["total"], head.classify.weight, retain_graph=True)[0]
        for head in heads
    ]
    for number, term in enumerate(terms):
        own = [
            torch.autograd.grad(term, head.classify.weight, retain_graph=True, allow_unused=True)[0]
            for head in heads
        ]
        # a term trains its own head alone, with its weight, and what all heads read
        assert [each is not None for each in own] == [n == number for n in range(3)]
        assert own[number].any()
        weighted = options.head_weights[number] * own[number]
        assert torch.allclose(total[number], weighted, rtol=1e-4, atol=1e-7)
        shared = student.encoder.vit.model.patch_embed.proj.weight
        assert torch.autograd.grad(term, shared, retain_graph=True)[0].any()


def test_a_network_with_one_head_has_one_loss_of_weight_one():
    batch, student = sample_batch(), network(0)
    (losses,) = deep_supervised(lambda number: student, DeepOptions(), 1).updates(batch, 0)
    assert losses.keys() == {"total", "head_1"}
    expected = structure_loss(student(batch.labelled), batch.labels, batch.valid)
    assert float(losses["total"]) == float(expected)


def test_another_loss_can_be_chosen():
    batch, student = sample_batch(), network(0)
    found = {}
    for loss in ("structure", "dice", "dice+ce"):
        method = deep_supervised(lambda number: student, DeepOptions(loss=loss), 1)
        (losses,) = method.updates(batch, 0)
        found[loss] = float(losses["total"])
    assert len(set(found.values())) == 3
