import hashlib

import pytest
import torch
from safetensors.torch import save, save_file

from models.networks import (
    Ensemble,
    NetworkConfig,
    NetworkError,
    build,
    decode,
    encode,
    load_ensemble,
    save_ensemble,
)

SMALL = NetworkConfig()


def ensemble(config=SMALL, students=2, seed=0):
    torch.manual_seed(seed)
    return Ensemble(config, build(config), tuple(build(config) for _ in range(students)))


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        NetworkConfig("unet", "resnet18"),
        NetworkConfig("deeplabv3plus", "resnet18"),
        NetworkConfig("deeplabv3plus", "resnet18", output_stride=8, plain_aspp=True),
    ],
    ids=["unet-small", "unet", "deeplabv3plus", "deeplabv3plus-as-ucmt"],
)
def test_every_architecture_gives_two_logits_a_pixel(config):
    network = build(config).eval()
    with torch.inference_mode():
        images = torch.rand(2, 3, 64, 64)
        logits = network(images)
        assert logits.shape == (2, 2, 64, 64)
        assert torch.equal(decode(network, encode(network, images)), logits)


def test_the_small_network_sees_its_surroundings_and_learns():
    network = build(SMALL)
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    network(images)[0, 1, 32, 32].backward()
    touched = images.grad[0].abs().sum(0) > 0
    assert touched[20:44, 20:44].all(), "a cell's size is seen"
    assert all(w.grad is not None and w.grad.isfinite().all() for w in network.parameters())


def test_equal_weights_are_equal_bytes(tmp_path):
    sums = [save_ensemble(ensemble(), tmp_path / name) for name in "ab"]
    assert sums[0] == sums[1] == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()
    assert save_ensemble(ensemble(seed=1), tmp_path / "c") != sums[0]


@pytest.mark.parametrize("config", [SMALL, NetworkConfig("unet", "resnet18")])
def test_what_is_saved_predicts_the_same_when_loaded(tmp_path, config):
    saved = ensemble(config)
    save_ensemble(saved, tmp_path / "weights")
    loaded = load_ensemble(tmp_path / "weights")
    assert loaded.config == config
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        for ours, theirs in zip(saved.networks(), loaded.networks(), strict=True):
            assert torch.equal(ours.eval()(images), theirs.eval()(images))


def test_the_layout_in_memory_is_no_part_of_the_weights(tmp_path):
    plain, turned = ensemble(), ensemble()
    for network in turned.networks():
        network.to(memory_format=torch.channels_last)
    sums = {save_ensemble(each, tmp_path / "weights") for each in (plain, turned)}
    assert len(sums) == 1


def test_a_network_that_is_its_own_teacher_is_saved_whole(tmp_path):
    network = build(SMALL)
    save_ensemble(Ensemble(SMALL, network, (network,)), tmp_path / "weights")
    assert len(load_ensemble(tmp_path / "weights").networks()) == 2


def encoder_file(path, encoder, **more):
    save_file({**build(NetworkConfig("unet", encoder)).encoder.state_dict(), **more}, path)


def test_encoder_weights_come_from_a_file(tmp_path):
    torch.manual_seed(5)
    # a classifier's file holds its head, too
    encoder_file(tmp_path / "e.safetensors", "resnet18", **{"fc.weight": torch.zeros(10, 512)})
    config = NetworkConfig("unet", "resnet18", encoder_weights=str(tmp_path / "e.safetensors"))
    first, second = (build(config).encoder.conv1.weight for _ in range(2))
    assert torch.equal(first, second)
    torch.save(build(config).encoder.state_dict(), tmp_path / "e.pt")
    third = build(NetworkConfig("unet", "resnet18", encoder_weights=str(tmp_path / "e.pt")))
    assert torch.equal(first, third.encoder.conv1.weight)


def test_weights_loaded_need_no_encoder_file(tmp_path):
    encoder_file(tmp_path / "e.safetensors", "resnet18")
    config = NetworkConfig("unet", "resnet18", encoder_weights=str(tmp_path / "e.safetensors"))
    save_ensemble(ensemble(config, students=1), tmp_path / "weights")
    (tmp_path / "e.safetensors").unlink()
    assert len(load_ensemble(tmp_path / "weights").students) == 1


@pytest.mark.parametrize("name", ["e.pt", "e.safetensors"])
def test_what_is_no_file_of_weights_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"a picture, by mistake")
    with pytest.raises(NetworkError, match="can't be read") as caught:
        build(NetworkConfig("unet", "resnet18", encoder_weights=str(path)))
    assert caught.value.code == "encoder_weights_unreadable"
    torch.save([1, 2], tmp_path / "e.pt")
    with pytest.raises(NetworkError, match="can't be read"):
        build(NetworkConfig("unet", "resnet18", encoder_weights=str(tmp_path / "e.pt")))


def test_missing_encoder_weights_say_what_to_do(tmp_path):
    config = NetworkConfig("unet", "resnet18", encoder_weights=str(tmp_path / "none.pt"))
    with pytest.raises(NetworkError, match=r"none\.pt.*'scratch'") as caught:
        build(config)
    assert caught.value.code == "encoder_weights_missing"


def test_another_encoders_weights_are_refused(tmp_path):
    encoder_file(tmp_path / "e.safetensors", "resnet18")
    config = NetworkConfig("unet", "resnet34", encoder_weights=str(tmp_path / "e.safetensors"))
    with pytest.raises(NetworkError, match="another encoder") as caught:
        build(config)
    assert caught.value.code == "encoder_weights_mismatch"


def test_an_unknown_architecture_is_refused():
    with pytest.raises(NetworkError, match="unet-small") as caught:
        build(NetworkConfig("transformer"))
    assert caught.value.code == "unknown_architecture"


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x10" + b"\0" * 40])
def test_a_file_that_is_no_weights_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(NetworkError) as caught:
        load_ensemble(tmp_path / "x")
    assert caught.value.code == "weights_unreadable"


def test_safetensors_of_somebody_else_are_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "x")
    with pytest.raises(NetworkError, match="no Membrana weights"):
        load_ensemble(tmp_path / "x")


@pytest.mark.parametrize(
    "document",
    [
        "[]",
        '{"network": {}}',
        '{"network": {}, "students": "some"}',
        '{"network": {"a switch of another version": 1}, "students": 0}',
        '{"network": {"architecture": "unet", "encoder": "none-such"}, "students": 0}',
        '{"network": {"architecture": "unet", "encoder": "resnet18"}, "students": 0}',
        '{"network": {}, "students": 1000000000}',
    ],
)
def test_weights_that_contradict_what_they_say_are_refused_in_words(tmp_path, document):
    tensors = {f"teacher.{key}": t for key, t in build(NetworkConfig()).state_dict().items()}
    (tmp_path / "x").write_bytes(save(tensors, metadata={"membrana": document}))
    with pytest.raises(NetworkError, match="weights") as caught:
        load_ensemble(tmp_path / "x")
    assert caught.value.code == "weights_unreadable"
