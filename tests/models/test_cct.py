"""CCT's consistency against its equation, what it trains, and what each decoder is shown."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from models.networks import NetworkConfig, build, decode, encode
from models.semisup.cct import (
    PERTURBATIONS,
    AuxiliaryDecoder,
    CrossConsistencyOptions,
    cross_consistency,
    strides,
)
from models.semisup.losses import segmentation_loss
from models.semisup.schedules import ramp

OPTIONS = CrossConsistencyOptions()
NONE = dict.fromkeys(PERTURBATIONS, 0)
STEPS = 100


def grow(number):
    torch.manual_seed(number)
    return build(NetworkConfig()).double().train()


def method(options=OPTIONS):
    return cross_consistency(grow, options, STEPS)


def only(name, **changes):
    return method(replace(OPTIONS, **(NONE | {name: 1} | changes)))


def gradients(module):
    return [weight.grad for weight in module.parameters()]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (NetworkConfig(), [(16, 2), (32, 4), (64, 8), (96, 16)]),
        (
            NetworkConfig("unet", "resnet18"),
            [(3, 1), (64, 2), (64, 4), (128, 8), (256, 16), (512, 32)],
        ),
        (
            NetworkConfig("deeplabv3plus", "resnet18"),
            [(3, 1), (64, 2), (64, 4), (128, 8), (256, 16), (512, 16)],
        ),
    ],
    ids=["unet-small", "unet", "deeplabv3plus"],
)
def test_every_network_has_its_decoders(config, expected):
    torch.manual_seed(0)
    network = build(config).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert strides(network) == expected
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    learner = cross_consistency(
        lambda number: network, CrossConsistencyOptions(**NONE | {"noises": 1}), 9
    )
    learner.consistency(torch.rand(2, 3, 64, 64)).backward()
    assert all(weight.grad is not None for weight in learner.extras[0].parameters())


def test_a_decoder_is_the_sum_of_its_levels():
    decoder = AuxiliaryDecoder([(3, 2), (5, 4)], 6).double()
    fine, coarse = torch.rand(2, 3, 8, 8).double(), torch.rand(2, 5, 4, 4).double()
    first, second = decoder.narrow
    twice = second(coarse).repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = decoder.head((first(fine) + twice).clamp(min=0))
    found = decoder([fine, coarse])
    assert found.shape == (2, 2, 16, 16)
    # a pixel shuffle: channel c * 4 + 2 * row + column becomes the pixel (row, column) of class c
    torch.testing.assert_close(found[:, 1, 1::2, ::2], expected[:, 6])


def test_the_loss_is_the_equation(batch):
    """With features left as they are every perturbed decoder is a plain one."""
    learner = only("noises", noises=2, noise_limit=0.0, unsupervised_weight=7.0)
    with torch.no_grad():
        features = encode(learner.teacher, batch.unlabelled)
        target = decode(learner.teacher, features).softmax(1)
        errors = [
            (decoder(features).softmax(1) - target).square().mean() for decoder in learner.extras
        ]
        logits = learner.teacher(batch.labelled)
        supervised = segmentation_loss("dice+ce", logits, batch.labels, batch.valid)
    losses = next(learner.updates(batch, 4))
    torch.testing.assert_close(losses["supervised"].detach(), supervised)
    torch.testing.assert_close(losses["consistency"].detach(), (errors[0] + errors[1]) / 2)
    total = supervised + 7 * ramp(4, 10) * losses["consistency"]
    torch.testing.assert_close(losses["total"], total)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_each_consistency_trains_the_encoder_and_its_decoder_but_not_the_main_one(batch, name):
    learner = only(name)
    student = learner.teacher
    # untrained it predicts no membrane at all, and then the context's mask hides everything
    torch.nn.init.zeros_(student.head.bias)
    next(learner.updates(batch, 50))["consistency"].backward()
    assert all(grad is not None for grad in gradients(student.down)), "the encoder"
    assert any(grad.abs().max() > 1e-12 for grad in gradients(student.down))
    for part in (student.narrow, student.up, student.head):
        assert all(grad is None for grad in gradients(part)), "the main decoder's is the target"
    (decoder,) = learner.extras
    assert all(grad is not None and grad.abs().max() > 1e-12 for grad in gradients(decoder))


def test_labels_train_the_main_decoder_and_no_auxiliary_one(batch):
    learner = method()
    next(learner.updates(batch, 50))["supervised"].backward()
    assert all(grad is not None for grad in gradients(learner.teacher))
    assert all(grad is None for extra in learner.extras for grad in gradients(extra))


def test_every_perturbation_changes_the_features(batch):
    learner = method()
    levels = [level.detach() for level in encode(learner.teacher, batch.unlabelled)]
    membrane = batch.unlabelled[:, 0] > 0.6
    found = {
        name: learner.perturbed(name, levels, membrane, decoders[0])
        for name, decoders in learner.decoders.items()
    }
    assert set(found) == set(PERTURBATIONS)
    for name, changed in found.items():
        for level, other in zip(levels, changed, strict=True):
            assert other.shape == level.shape, name
        assert any(not torch.equal(a, b) for a, b in zip(levels, changed, strict=True)), name
    for level, context, others in zip(levels, found["contexts"], found["objects"], strict=True):
        torch.testing.assert_close(context + others, level)
    here = F.avg_pool2d(membrane.double(), 2).unsqueeze(1)
    torch.testing.assert_close(found["contexts"][0], levels[0] * here)


def test_the_paper_has_twice_as_many_decoders_in_the_same_proportions():
    learner = method()
    counts = [len(learner.decoders[name]) for name in PERTURBATIONS]
    assert [2 * count for count in counts] == [6, 6, 2, 2, 2, 6, 6]
    assert len(learner.extras) == sum(counts) == 15


def test_labels_come_first_if_so_wished(batch):
    learner = only("noises", labelled_share=0.5)
    (early,) = learner.updates(batch, 49)
    assert set(early) == {"total", "supervised"}
    assert early["total"] is early["supervised"]
    (later,) = learner.updates(batch, 50)
    expected = later["supervised"] + 30 * ramp(0, 10) * later["consistency"]
    torch.testing.assert_close(later["total"], expected)


def test_the_factory_is_reproducible():
    ours, theirs = method(), method()
    assert ours.teacher is ours.students[0]
    for one, other in zip(ours.extras, theirs.extras, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)
    first, second = ours.decoders["noises"][:2]
    assert not torch.equal(first.head.weight, second.head.weight)
