"""Pretrained weights: from a file or a folder, fitted to the size, never fetched."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from models.architectures.swin_unet import SIZES, Encoder, fitted
from models.networks import NetworkConfig, NetworkError, build
from tests.models.architectures.tiny import TWO_PARTS, config, images

SWIN = "swin_micro_window4"


def saved(folder, name, **choices):
    """A classifier of timm as its file: other image size, a head, positions of its own."""
    torch.manual_seed(7)
    model = timm.create_model(name, pretrained=False, **choices)
    save_file(model.state_dict(), folder / f"{name}.safetensors")
    return model


@pytest.mark.parametrize("name", ["transunet", "transfuse", "fafuse"])
def test_both_parts_come_from_a_folder(tmp_path, name):
    cnn, vit = (saved(tmp_path, part) for part in TWO_PARTS.split("+"))
    encoder = build(config(name, encoder_weights=str(tmp_path))).encoder
    assert torch.equal(encoder.cnn.model.conv1[0].weight, cnn.conv1[0].weight)
    blocks = encoder.vit.model.blocks
    assert torch.equal(blocks[-1].mlp.fc2.weight, vit.blocks[len(blocks) - 1].mlp.fc2.weight)
    # 10 x 10 positions of a 160 px image become 16 x 16; the class token's stays
    positions = encoder.vit.model.pos_embed
    assert positions.shape == (1, 257, 64)
    assert torch.equal(positions[:, 0], vit.pos_embed[:, 0])


def test_one_file_is_not_enough_for_two_parts(tmp_path):
    saved(tmp_path, "test_resnet")
    with pytest.raises(NetworkError, match="folder that holds test_resnet") as caught:
        build(config("transfuse", encoder_weights=str(tmp_path / "test_resnet.safetensors")))
    assert caught.value.code == "encoder_weights_mismatch"


def test_a_part_that_is_absent_is_named(tmp_path):
    saved(tmp_path, "test_resnet")
    with pytest.raises(NetworkError, match="test_vit") as caught:
        build(config("transfuse", encoder_weights=str(tmp_path)))
    assert caught.value.code == "encoder_weights_missing"


def test_no_package_brings_the_weights_of_these_parts():
    with pytest.raises(NetworkError, match=r"No installed package brings .* test_resnet") as caught:
        build(config("transfuse", encoder_weights="imagenet"))
    assert caught.value.code == "encoder_weights_missing"


def test_another_models_weights_are_refused(tmp_path):
    saved(tmp_path, "test_resnet")
    state = build(NetworkConfig()).state_dict()
    save_file(state, tmp_path / "test_vit.safetensors")
    with pytest.raises(NetworkError, match="another encoder than test_vit") as caught:
        build(config("transfuse", encoder_weights=str(tmp_path)))
    assert caught.value.code == "encoder_weights_mismatch"


def test_a_swin_lends_its_first_blocks_to_the_way_down_and_up(tmp_path):
    """A file of windows of 7 px and six blocks in the third stage, as Swin-T's."""
    size = SIZES[SWIN]
    model = saved(
        tmp_path,
        "swin_tiny_patch4_window7_224",
        embed_dim=size.width,
        depths=(2, 2, 3, 2),
        num_heads=size.heads,
    )
    (tmp_path / "swin_tiny_patch4_window7_224.safetensors").rename(tmp_path / "w.safetensors")
    network = build(config("swin-unet", encoder_weights=str(tmp_path / "w.safetensors")))
    theirs = model.layers[2].blocks[1].mlp.fc1.weight
    assert torch.equal(network.encoder.layers[2].blocks[1].mlp.fc1.weight, theirs)
    assert torch.equal(network.decoder.levels[0].stage.blocks[1].mlp.fc1.weight, theirs)
    first = model.layers[0].blocks[0].attn.qkv.weight
    assert torch.equal(network.decoder.levels[2].stage.blocks[0].attn.qkv.weight, first)
    table = network.encoder.layers[0].blocks[0].attn.relative_position_bias_table
    assert table.shape == (49, 3)
    assert network(images(64)).shape == (2, 2, 64, 64)


def test_a_merging_filed_with_the_stage_before_is_found():
    state = Encoder(SIZES[SWIN]).state_dict()
    early = {}
    for key, value in state.items():
        layer, _, rest = key.removeprefix("layers.").partition(".")
        moved = f"layers.{int(layer) - 1}.{rest}" if rest.startswith("downsample") else key
        early[moved] = value
    assert early.keys() != state.keys()
    back = fitted(early, SIZES[SWIN].window)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_a_folder_serves_the_other_networks_too(tmp_path):
    torch.manual_seed(5)
    encoder = build(NetworkConfig("unet", "resnet18")).encoder
    save_file(encoder.state_dict(), tmp_path / "resnet18.safetensors")
    built = build(NetworkConfig("unet", "resnet18", encoder_weights=str(tmp_path)))
    assert torch.equal(built.encoder.conv1.weight, encoder.conv1.weight)
