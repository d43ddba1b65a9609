"""Contrasts against their sums written out, in whatever pieces they are made."""

import math

import pytest
import torch

from models.semisup.contrast import by_rows, labelled_contrast, pixel_contrast, repulsion

T = 0.07


def features(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (0.2 * torch.randn(count, 3, generator=generator)).double()


def test_pixel_contrast_is_the_sum_written_out():
    queries, keys = features(4), features(4, seed=1)
    found = pixel_contrast(queries, keys, temperature=T)
    for place in range(4):
        terms = [math.exp(float(queries[place] @ key) / T) for key in keys]
        assert float(found[place]) == pytest.approx(-math.log(terms[place] / sum(terms)))


def test_repulsion_is_the_sum_written_out():
    queries, keys = features(3), features(5, seed=1)
    found = repulsion(queries, keys, temperature=T)
    for place in range(3):
        total = sum(math.exp(float(queries[place] @ key) / T) for key in keys)
        assert float(found[place]) == pytest.approx(math.log(1 + total))


def test_only_another_label_is_a_negative():
    queries, keys, bank = features(3), features(3, seed=1), features(4, seed=2)
    labels, bank_labels = torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1, 1])
    found = labelled_contrast(queries, keys, labels, bank, bank_labels, temperature=T)
    for place in range(3):
        own = math.exp(float(queries[place] @ keys[place]) / T)
        others = [
            math.exp(float(queries[place] @ bank[other]) / T)
            for other in range(4)
            if bank_labels[other] != labels[place]
        ]
        assert float(found[place]) == pytest.approx(-math.log(own / (own + sum(others))))


def test_without_a_negative_there_is_no_loss_and_no_gradient():
    queries = features(2).requires_grad_()
    zeros = torch.zeros(2, dtype=torch.int64)
    loss = labelled_contrast(queries, features(2), zeros, features(2), zeros, temperature=T)
    loss.sum().backward()
    assert not loss.any()
    assert not queries.grad.any()


@pytest.mark.parametrize("size", [1, 3, 100])
def test_pieces_change_neither_values_nor_gradients(size):
    queries, keys = features(7), features(7, seed=1)

    def learned(make):
        each = queries.clone().requires_grad_()
        loss = make(each)
        (loss * torch.arange(7)).sum().backward()
        return loss.detach(), each.grad

    def loss(part, key):
        return (part @ keys.T).logsumexp(1) * key.sum(1)

    for ours, theirs in zip(
        learned(lambda each: by_rows(loss, each, keys, size=size)),
        learned(lambda each: loss(each, keys)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("contrast", [pixel_contrast, repulsion])
def test_keys_are_constants(contrast):
    queries, keys = features(4).requires_grad_(), features(4, seed=1).requires_grad_()
    contrast(queries, keys, temperature=T).sum().backward()
    assert queries.grad.any()
    assert keys.grad is None
