"""CRCFP's three terms against independent formulations, and that each trains what it should."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from models.networks import NetworkConfig, build, classify, encode, merge
from models.semisup.crcfp import (
    ContextOptions,
    Seen,
    confident_error,
    context_consistency,
    crop_side,
    entropy,
    head_input,
    shared,
)
from models.semisup.losses import segmentation_loss
from models.semisup.schedules import ramp
from tests.support.small import sample_batch

FEW = ContextOptions(
    channels_dropped=1, activity_dropped=1, noises=1, negatives=50, hidden=8, projected=4
)
SIDE, CROP = 48, 32
APART = SIDE - CROP


def grow(number):
    """A network that is sure of some pixels, in either direction, and not of others."""
    torch.manual_seed(number)
    network = build(NetworkConfig()).double().train()
    torch.nn.init.zeros_(network.head.bias)
    # all four pixels of a place alike: their mean is as sure as they are
    alike = 1.2 * torch.randn(2, 16, 1, 1).double()
    network.head.weight.data = alike.repeat_interleave(4, 0)
    return network


@pytest.fixture
def batch():
    return sample_batch(side=SIDE)


def method(options=FEW):
    return context_consistency(grow, options, 100)


def gradients(module):
    return [weight.grad for weight in module.parameters()]


def logits_of(membrane):
    chance = torch.tensor(membrane, dtype=torch.float64)
    return torch.stack([torch.log1p(-chance), torch.log(chance)], 1)


def test_only_confident_targets_are_followed():
    target = logits_of([[[0.9, 0.6, 0.1]]]).softmax(1)
    found = confident_error(logits_of([[[0.7, 0.1, 0.3]]]), target, confidence=0.75)
    assert float(found) == pytest.approx((0.2**2 + 0.2**2) / 2)
    assert float(confident_error(logits_of([[[0.7]]]), target[..., 1:2], confidence=0.75)) == 0


def test_entropy_by_hand_and_that_it_has_a_gradient():
    logits = logits_of([[[0.9, 0.5]]]).requires_grad_()
    loss = entropy(logits)
    expected = (-(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) + math.log(2)) / 2
    assert float(loss.detach()) == pytest.approx(expected)
    loss.backward()
    # the derivative by the membrane's logit is -p (1 - p) (log p - log (1 - p)), halved here
    assert float(logits.grad[0, 1, 0, 0]) == pytest.approx(-0.09 * math.log(9) / 2)


def test_crops_are_what_every_network_can_halve():
    assert [crop_side(side, 0.75) for side in (32, 48, 64, 96, 128, 256)] == [
        32,
        32,
        64,
        64,
        96,
        192,
    ]


def test_the_overlap_shows_the_same_pixels():
    image = torch.arange(36).view(1, 1, 6, 6)
    crops = torch.cat([image[..., :4, :4], image[..., -4:, -4:]])
    first, second = shared(crops, 2)
    assert torch.equal(first, second)
    assert first.flatten().tolist() == [14, 15, 20, 21]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (NetworkConfig(), (16, 2)),
        (NetworkConfig("unet", "resnet18"), (16, 1)),
        (NetworkConfig("deeplabv3plus", "resnet18"), (256, 4)),
    ],
    ids=["unet-small", "unet", "deeplabv3plus"],
)
def test_every_network_has_its_heads(config, expected):
    torch.manual_seed(0)
    network = build(config).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert head_input(network) == expected
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    learner = context_consistency(lambda number: network, FEW, 9)
    batch = sample_batch(side=96)
    images = [view.float() for view in batch.unlabelled_strong]
    single = replace(batch, labelled=batch.labelled.float(), unlabelled_strong=tuple(images))
    losses = next(learner.updates(single, 5))
    losses["total"].backward()
    for head in learner.extras[1:]:
        assert all(weight.grad is not None for weight in head.parameters())


def test_the_losses_are_the_equations(batch):
    options = replace(
        FEW, noises=2, channels_dropped=0, activity_dropped=0, noise_limit=0.0, negatives=5000
    )
    learner = method(options)
    losses = next(learner.updates(batch, 3))
    with torch.no_grad():
        views = [
            batch.unlabelled_strong[0][..., :CROP, :CROP],
            batch.unlabelled_strong[1][..., APART:, APART:],
        ]
        features = merge(learner.teacher, encode(learner.teacher, torch.cat(views)))
        logits = classify(learner.teacher, features)
        chance = logits.softmax(1)
        unsure = -(chance * chance.log()).sum(1).mean()
        sure = chance.amax(1) > 0.75
        errors = [
            (head(features).softmax(1) - chance).square().mean(1)[sure].mean()
            for head in learner.extras[1:]
        ]
        contrast = written_out(learner, features, chance)
        on_labelled = learner.teacher(batch.labelled)
        supervised = segmentation_loss("dice+ce", on_labelled, batch.labels, batch.valid)
    assert 0.1 < float(sure.double().mean()) < 0.9, "the case shows both"
    assert float(contrast) > 0.1
    torch.testing.assert_close(losses["supervised"].detach(), supervised)
    torch.testing.assert_close(losses["entropy"].detach(), unsure)
    torch.testing.assert_close(losses["auxiliary"].detach(), (errors[0] + errors[1]) / 2)
    # its negatives are 5,000 draws of 512 places a crop, so that sums over them vary little
    torch.testing.assert_close(losses["contrast"].detach(), contrast, rtol=0.02, atol=0)
    total = losses["supervised"] + 0.1 * losses["contrast"]
    total = total + 0.01 * losses["auxiliary"] + 0.01 * losses["entropy"]
    torch.testing.assert_close(losses["total"], total)


def written_out(learner, features, chance):
    """The contrast pixel by pixel, with every feature of both crops as a negative, and each as
    often as 5,000 draws would have it.
    """
    projected = learner.projector(features)
    projected = projected / projected.norm(dim=1, keepdim=True)
    chance = F.avg_pool2d(chance, 2)
    cells, apart = CROP // 2, APART // 2
    bank, bank_labels = projected.movedim(1, -1).flatten(0, 2), chance.argmax(1).flatten()
    often = 5000 / (2 * cells * cells)
    total = 0.0
    for pupil, guide, shift in ((0, 2, apart), (2, 0, -apart)):
        terms = []
        for image in range(2):
            for row in range(max(shift, 0), cells + min(shift, 0)):
                for column in range(max(shift, 0), cells + min(shift, 0)):
                    mine = chance[pupil + image, :, row, column]
                    its = chance[guide + image, :, row - shift, column - shift]
                    if not (mine.max() < its.max() and its.max() > 0.75):
                        continue
                    query = projected[pupil + image, :, row, column]
                    key = projected[guide + image, :, row - shift, column - shift]
                    own = (query @ key / 0.1).exp()
                    others = (bank[bank_labels != mine.argmax()] @ query / 0.1).exp().sum()
                    terms.append(-(own / (own + often * others)).log())
        total = total + torch.stack(terms).mean()
    return total


def test_the_less_sure_pixel_follows_and_the_surer_one_stays():
    learner = method()

    def seen(confidence, seed):
        generator = torch.Generator().manual_seed(seed)
        features = F.normalize(torch.randn(3, 4, generator=generator).double(), dim=1)
        return Seen(features.requires_grad_(), torch.tensor(confidence), torch.tensor([0, 0, 1]))

    pupil, guide = seen([0.6, 0.9, 0.5], 1), seen([0.8, 0.8, 0.7], 2)
    bank = F.normalize(torch.randn(6, 4).double(), dim=1)
    learner.follow(pupil, guide, bank, torch.tensor([0, 1] * 3)).backward()
    moved = pupil.features.grad.abs().sum(1) > 0
    assert moved.tolist() == [True, False, False], "less sure, surer, and a guide that isn't sure"
    assert guide.features.grad is None


@pytest.mark.parametrize("name", ["contrast", "auxiliary", "entropy", "supervised"])
def test_each_term_trains_what_it_should(batch, name):
    learner = method()
    next(learner.updates(batch, 50))[name].backward()
    student = learner.teacher
    for part in (student.down, student.up):
        assert all(grad is not None for grad in gradients(part)), name
        assert any(grad.abs().max() > 1e-10 for grad in gradients(part)), name
    by_name = {"contrast": [learner.projector], "auxiliary": learner.extras[1:]}
    trained = by_name.get(name, [])
    for extra in learner.extras:
        touched = [grad is not None and bool(grad.any()) for grad in gradients(extra)]
        assert any(touched) is any(extra is each for each in trained), name
    head = any(grad is not None for grad in gradients(student.head))
    assert head is (name in {"entropy", "supervised"}), "predictions are targets elsewhere"


def test_entropy_minimisation_makes_predictions_surer(batch):
    learner = method()
    optimiser = torch.optim.Adam(learner.teacher.parameters(), lr=1e-3)
    course = []
    for _ in range(5):
        loss = next(learner.updates(batch, 50))["entropy"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        course.append(loss.detach())
    assert course[-1] < 0.9 * course[0]


def test_negatives_come_from_both_crops():
    learner = method(replace(FEW, negatives=200))
    maps = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 4, 3, 3)
    chances = torch.stack([1 - maps[:, 0] / 4, maps[:, 0] / 4], 1)
    features, labels = learner.sampled(maps, chances)
    assert features.shape == (400, 4)
    assert set(features[:200, 0].tolist()) == {0, 1}, "two images, first crops"
    assert set(features[200:, 0].tolist()) == {2, 3}
    assert torch.equal(labels, (features[:, 0] > 2).long())


def test_the_paper_has_eighteen_heads():
    assert len(method(ContextOptions()).extras) == 1 + 18


def test_labels_come_first_if_so_wished(batch):
    learner = method(replace(FEW, labelled_share=0.5, ramp_share=0.2))
    (early,) = learner.updates(batch, 49)
    assert set(early) == {"total", "supervised"}
    (later,) = learner.updates(batch, 60)
    rest = 0.1 * later["contrast"] + 0.01 * (later["auxiliary"] + later["entropy"])
    torch.testing.assert_close(later["total"], later["supervised"] + ramp(10, 20) * rest)


def test_the_factory_is_reproducible():
    ours, theirs = method(), method()
    assert ours.teacher is ours.students[0]
    for one, other in zip(ours.extras, theirs.extras, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)
