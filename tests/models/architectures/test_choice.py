"""All four networks: sizes, parts, gradients, files, and that each one learns."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models.acceleration import ExactConv2d
from models.batches import draw
from models.networks import (
    PAPER,
    SMALL,
    Ensemble,
    NetworkConfig,
    NetworkError,
    build,
    decode,
    encode,
    load_ensemble,
    save_ensemble,
)
from models.study.contenders import chosen
from models.study.protocol import Protocol
from models.study.runs import pooled_dice, predict
from models.training import Run, train
from tests.models.architectures.tiny import NAMES, config, images, network


@pytest.mark.parametrize("name", NAMES)
def test_any_size_gives_two_logits_a_pixel(name):
    model = network(name).eval()
    with torch.inference_mode():
        for height, width in ((64, 64), (96, 96), (32, 64), (256, 256)):
            logits = model(images(height, width))
            assert logits.shape == (2, 2, height, width)
            assert logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_give_what_the_whole_gives(name):
    model = network(name).eval()
    with torch.inference_mode():
        assert torch.equal(decode(model, encode(model, images(64))), model(images(64)))


@pytest.mark.parametrize("name", NAMES)
def test_a_size_that_does_not_fit_is_refused_in_words(name):
    with pytest.raises(NetworkError, match="multiples of") as caught:
        network(name)(images(72))
    assert caught.value.code == "image_size"


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name):
    model = network(name)
    for layer in model.modules():
        # a ResNet's blocks begin as nothing: until this weight moves, what is before it can't
        if isinstance(layer, nn.BatchNorm2d) and not layer.weight.any():
            nn.init.ones_(layer.weight)
    seen = images(64)
    heads = model.heads(seen) if hasattr(model, "heads") else (model(seen),)
    sum((0.1 + logits).square().mean() for logits in heads).backward()
    still = [
        key
        for key, weight in model.named_parameters()
        if weight.grad is None or not weight.grad.isfinite().all() or not weight.grad.any()
    ]
    assert still == []


@pytest.mark.parametrize("name", ["transfuse", "fafuse"])
def test_the_head_that_predicts_is_the_first(name):
    model = network(name).eval()
    with torch.inference_mode():
        heads = model.heads(images(64))
        assert torch.equal(heads[0], model(images(64)))
    assert [logits.shape for logits in heads] == [(2, 2, 64, 64)] * 3


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_predicts_the_same_when_loaded(tmp_path, name):
    model = network(name)
    save_ensemble(Ensemble(config(name), model, (model,)), tmp_path / "weights")
    loaded = load_ensemble(tmp_path / "weights")
    assert loaded.config == config(name)
    with torch.inference_mode():
        for size in (64, 96):
            expected = model.eval()(images(size))
            assert torch.equal(loaded.teacher.eval()(images(size)), expected)


def test_the_sizes_of_the_paper():
    """Of TransUNet about 105 M parameters are told (eugmt.md §2.10)."""
    counts = {}
    with torch.device("meta"):
        for name in NAMES:
            small, paper = (build(NetworkConfig(name, word)) for word in (SMALL, PAPER))
            counts[name] = tuple(
                round(sum(weight.numel() for weight in model.parameters()) / 1e6)
                for model in (small, paper)
            )
    assert counts == {
        "transunet": (9, 105),
        "swin-unet": (7, 27),
        "transfuse": (10, 27),
        "fafuse": (15, 75),
    }


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("transunet", "resnet50"),
        ("transunet", "nothing+test_vit"),
        ("transunet", "convnext_atto+test_vit"),
        ("transunet", "vit_small_r26_s32_224"),
        ("transfuse", "test_resnet"),
        ("transfuse", "test_vit+test_resnet"),
        ("fafuse", "test_resnet+vit_tiny_r_s16_p8_224"),
        ("swin-unet", "test_vit"),
    ],
)
def test_an_encoder_that_does_not_fit_is_answered_with_those_that_do(name, encoder):
    with pytest.raises(NetworkError, match="takes the encoder 'small'") as caught:
        build(NetworkConfig(name, encoder))
    assert caught.value.code == "unknown_encoder"
    # a study trains in other processes
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.code, str(again)) == ("unknown_encoder", str(caught.value))


def contender_on(name, network):
    (contender,) = chosen([name])
    return contender.config(Protocol(network=network), steps=1, seed=0, threads=1).network


@pytest.mark.parametrize("name", NAMES)
def test_a_contender_takes_no_other_networks_encoder(name):
    foreign = NetworkConfig("deeplabv3plus", "resnet50", "/weights/resnet50.pt")
    assert contender_on(name, foreign) == replace(
        foreign, architecture=name, encoder=SMALL, encoder_weights="scratch"
    )
    paper = NetworkConfig("unet-small", PAPER, "/weights")
    assert contender_on(name, paper) == replace(paper, architecture=name)


def toy(seed=0, count=6, side=64):
    """Images with brown lines, which are the mask, on a pale ground."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, side, side), np.uint8)
    for mask in masks:
        for place in rng.integers(4, side - 4, 2):
            mask[place - 4 : place + 4] = 255
    seen = rng.integers(180, 220, (count, side, side, 3), dtype=np.uint8)
    seen[masks == 255] = (120, 80, 50)
    return seen, masks


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_as_the_contender_that_it_is(tmp_path, name):
    protocol = Protocol(
        network=config(name), crop=32, batch_labelled=4, batch_unlabelled=1, loss="own"
    )
    (contender,) = chosen([name])
    training = replace(contender.config(protocol, steps=40, seed=0, threads=1), learning_rate=3e-3)
    assert training.network == config(name)
    totals = []
    trained = train(
        training,
        *toy(),
        toy(seed=1)[0],
        workdir=tmp_path,
        progress=lambda step, of, losses: totals.append(losses["total"]),
    )
    assert np.mean(totals[-5:]) < 0.7 * np.mean(totals[:5])
    unseen, masks = toy(seed=2)
    assert pooled_dice(predict(load_ensemble(trained.path).teacher, unseen), masks) > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_in_half_precision_with_exact_logits(name):
    (contender,) = chosen([name])
    protocol = Protocol(
        network=config(name), crop=32, batch_labelled=2, batch_unlabelled=1, loss="own"
    )
    half = replace(contender.config(protocol, steps=2, seed=0, threads=1), precision="bfloat16")
    run = Run(half, None)
    seen = []
    for module in run.method.teacher.modules():
        if isinstance(module, ExactConv2d):
            module.register_forward_hook(lambda layer, given, logits: seen.append(logits.dtype))
    for step in range(2):
        run.learn(draw(half, *toy(), toy()[0], step))
    heads = 1 if half.method == "supervised" else 3
    assert seen == [torch.float32] * 2 * heads
