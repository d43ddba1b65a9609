"""What each perturbation leaves, blanks or moves."""

import pytest
import torch

from models.semisup.perturb import (
    adversarial,
    box_on,
    drop_active,
    drop_channels,
    keep,
    noise,
    unit,
)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def features(*shape):
    return torch.rand(*(shape or (2, 8, 16, 16))).double() + 0.1


def test_noise_is_a_share_of_the_features():
    original = features()
    share = noise(original, limit=0.3) / original - 1
    assert share.abs().max() <= 0.3
    assert share.min() < -0.29
    assert share.max() > 0.29
    assert abs(float(share.mean())) < 0.02


def test_the_most_active_places_are_blanked():
    original = torch.arange(100.0).view(1, 1, 10, 10).repeat(3, 4, 1, 1) + 1
    blank = drop_active(original, least=0.6, most=0.9) == 0
    assert (blank == blank[:, :1]).all(), "a place is blanked in all channels"
    for each in blank[:, 0].flatten(1):
        count = int(each.sum())
        assert 10 <= count <= 40, "above a limit of 0.6 to 0.9 of the range"
        assert each[-count:].all()
    assert len({int(each.sum()) for each in blank}) > 1, "each image has its own limit"


def test_even_features_have_no_most_active_place():
    even = torch.ones(1, 4, 5, 5)
    assert torch.equal(drop_active(even, least=0.6, most=0.9), even)


def test_whole_channels_are_dropped():
    original = features(8, 32, 4, 4)
    blank = (drop_channels(original, share=0.5) == 0).flatten(2)
    assert (blank == blank[..., :1]).all()
    assert 0.35 < float(blank.double().mean()) < 0.65


def test_a_coarse_place_keeps_the_share_of_it_that_is_kept():
    kept = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    kept[..., :4, :4] = True
    kept[..., 0, 4:8] = True
    original = features(1, 3, 2, 2)
    share = torch.tensor([[1.0, 0.25], [0.0, 0.0]]).double()
    torch.testing.assert_close(keep(original, kept), original * share)


def test_the_box_lies_on_membrane():
    membrane = torch.zeros(50, 20, 30, dtype=torch.bool)
    membrane[:, 5, 7:25] = True
    blank = ~box_on(membrane, side=0.4)[:, 0]
    lefts = set()
    for each in blank:
        rows, columns = (each.any(axis).nonzero().flatten() for axis in (1, 0))
        top, left = int(rows.min()), int(columns.min())
        height, width = int(rows.max()) - top + 1, int(columns.max()) - left + 1
        assert each.sum() == height * width, "it is a box"
        assert (top, height) == (1, 9), "around row 5, 0.4 of 20 px to either end"
        assert width <= 13
        assert each[5, 7:25].any()
        lefts.add(left)
    assert len(lefts) > 5, "anywhere on it"


def test_without_membrane_the_box_is_anywhere():
    assert not box_on(torch.zeros(3, 20, 20, dtype=torch.bool), side=0.4).flatten(1).all(1).any()


def test_directions_of_length_one():
    torch.testing.assert_close(unit(features()).flatten(1).norm(dim=1), torch.ones(2).double())
    assert not unit(torch.zeros(1, 2, 3, 3)).any()


def test_the_adversary_finds_the_direction_that_matters():
    """Of six features the logit reads one: the step goes along it, and as far as it may."""
    weight = torch.nn.Parameter(torch.tensor([0, 0, 1.0, 0, 0, 0]).double())

    def logits_of(levels):
        logit = torch.einsum("bchw,c->bhw", levels[0], weight)
        return torch.stack([-logit, logit], 1)

    level = features(3, 6, 1, 1).requires_grad_()
    (moved,) = adversarial([level], logits_of, radius=2.0, probe=0.1)
    step = (moved - level).detach().flatten(1)
    torch.testing.assert_close(step[:, 2].abs(), torch.full((3,), 2.0).double())
    assert weight.grad is None
    moved.sum().backward()
    assert (level.grad == 1).all(), "the features learn, the step is a constant"


def test_the_adversary_does_more_than_chance():
    layer = torch.nn.Conv2d(8, 2, 1).double()
    level = features()

    def change(moved):
        return float((layer(moved).softmax(1) - layer(level).softmax(1)).abs().mean().detach())

    (worst,) = adversarial([level], lambda levels: layer(levels[0]), radius=2.0, probe=0.1)
    random = [change(level + 2.0 * unit(torch.randn_like(level))) for _ in range(20)]
    assert change(worst.detach()) > 1.5 * max(random)
