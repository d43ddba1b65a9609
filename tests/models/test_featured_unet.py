"""The small U-Net beside a frozen encoder: it sees what ImageNet's sees, and that never changes."""

import numpy as np
import pytest
import torch

from models import acceleration
from models.inference import TorchPredictor
from models.inference.choice import load
from models.inference.openvino_backend import OpenVinoPredictor
from models.networks import (
    FEATURED,
    PACKAGED,
    Ensemble,
    NetworkConfig,
    NetworkError,
    build,
    decode,
    encode,
    load_ensemble,
    save_ensemble,
)
from models.semisup.settling import settle
from models.training import preset, train

FROM_IMAGENET = NetworkConfig(FEATURED, encoder_weights=PACKAGED)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(FROM_IMAGENET)


def images(count=2, side=64):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def frozen(network):
    return {name: each for name, each in network.state_dict().items() if "frozen" in name}


def test_it_sees_what_the_whole_encoder_sees(network):
    whole = build(NetworkConfig("unet", "tu-tf_efficientnet_lite0", PACKAGED)).eval()
    with torch.inference_mode():
        wanted, found = encode(whole, images()), network.frozen(images())
    assert [each.shape[-1] for each in found[1:]] == [32, 16, 8, 4]
    for ours, theirs in zip(found, wanted, strict=False):
        torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-3)


def test_its_logits_are_those_of_its_parts_and_its_head_is_last(network):
    network.eval()
    with torch.inference_mode():
        logits = network(images())
        assert logits.shape == (2, 2, 64, 64)
        assert torch.equal(decode(network, encode(network, images())), logits)
    head = network.head
    assert acceleration.exact_at_the_end(build(FROM_IMAGENET)).head.__class__ is not head.__class__


def test_settling_and_training_leave_the_encoder_as_it_was(network, tmp_path):
    before = {name: each.clone() for name, each in frozen(network).items()}
    statistics = network.scaled[0].running_var.clone()
    settle(network, images(), 0.5)
    assert not torch.equal(network.scaled[0].running_var, statistics)
    assert not any("running" in name for name in before)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    masks = np.where(rng.random((2, 64, 64)) < 0.3, 255, 0).astype(np.uint8)
    config = preset("eugmt-plus", network=FROM_IMAGENET, iterations=20, threads=1)
    path = train(config, pixels, masks, pixels, workdir=tmp_path).path
    trained = load_ensemble(path)
    # and what is left predicts as every network's weights do
    assert load(path, threads=1)(np.zeros((1, 256, 256, 3), np.uint8)).students.shape[0] == 2
    for learned in trained.networks():
        for name, each in frozen(learned).items():
            assert torch.equal(each, before[name]), name
        assert not torch.equal(learned.head.weight, network.head.weight)


def test_a_file_brings_the_encoder_with_it_and_openvino_reads_it(network, tmp_path):
    save_ensemble(Ensemble(FROM_IMAGENET, network, (network,)), tmp_path / "model.safetensors")
    kept = load_ensemble(tmp_path / "model.safetensors")
    assert kept.config.encoder_weights == "scratch"
    patches = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), dtype=np.uint8)
    ours = TorchPredictor(Ensemble(FROM_IMAGENET, network, ()), batch_size=1)(patches)
    again = TorchPredictor(kept, batch_size=1)(patches)
    assert np.array_equal(ours.probability, again.probability)
    theirs = OpenVinoPredictor(kept, threads=1, batch_size=1)(patches)
    np.testing.assert_allclose(theirs.probability, ours.probability, atol=1e-3)


def test_weights_of_another_encoder_are_refused(tmp_path):
    torch.save({"conv_stem.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(NetworkError) as caught:
        build(NetworkConfig(FEATURED, encoder_weights=str(tmp_path / "other.pth")))
    assert caught.value.code == "encoder_weights_mismatch"


def test_a_frozen_encoder_of_random_weights_is_refused(tmp_path):
    config = preset("eugmt-plus", network=NetworkConfig(FEATURED), iterations=1, threads=1)
    pixels = np.zeros((1, 64, 64, 3), np.uint8)
    with pytest.raises(NetworkError, match="'imagenet'") as caught:
        train(config, pixels, pixels[..., 0], pixels, workdir=tmp_path)
    assert caught.value.code == "encoder_weights_missing"
