"""ImageNet weights from an installed package: the right tensors in the right places and units."""

from dataclasses import replace

import pytest
import timm
import torch
from torch import nn

from models.architectures import packaged
from models.architectures.packaged import packaged_file, with_names_of_timm
from models.augment import MEAN, STD
from models.networks import (
    Ensemble,
    NetworkConfig,
    NetworkError,
    build,
    encode,
    load_ensemble,
    read_weights,
    save_ensemble,
)
from models.phantom import PhantomSpec, field

LITE = "tu-tf_efficientnet_lite0"
UNET = NetworkConfig("unet", LITE, "imagenet", decoder=(64, 48, 32, 16, 8))


def of_timm():
    """The same tensors in timm's own classifier: every one of them has its place."""
    state = with_names_of_timm(read_weights(packaged_file(LITE)), LITE)
    classifier = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    assert state.keys() == classifier.state_dict().keys()
    classifier.load_state_dict(state)
    return classifier.eval()


@pytest.mark.parametrize("config", [UNET, replace(UNET, architecture="deeplabv3plus", decoder=())])
def test_the_encoder_sees_what_timms_own_sees(config):
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ours = pixels.sub(torch.tensor(MEAN).view(3, 1, 1)).div(torch.tensor(STD).view(3, 1, 1))
    with torch.inference_mode():
        found = encode(build(config).eval(), ours)
        wanted = of_timm().forward_intermediates((pixels - 0.5) / 0.5, intermediates_only=True)
    finest = [each for each in found[1:] if each.shape[-1] >= 64 // 8]
    assert len(finest) >= 3
    for each in finest:
        same = [other for other in wanted if other.shape == each.shape]
        assert any(torch.allclose(each, other, atol=1e-4) for other in same)


def test_the_tensors_have_changed_no_places():
    """On a picture, what reaches each batch norm has the spread that its statistics expect."""
    network, ratios = of_timm(), []

    def look(layer: nn.BatchNorm2d, arguments: tuple[torch.Tensor, ...]) -> None:
        spread = torch.stack([arguments[0].std((0, 2, 3)), layer.running_var.sqrt()])
        # some channels are dead on any picture
        ratios.append(torch.corrcoef((spread + 0.05).log())[0, 1])

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(look)
    with torch.inference_mode():
        picture = field(PhantomSpec(width=512, height=512, seed=3, her2="2+"), 256).image
        pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        network((pixels - 0.5) / 0.5)
    # towards the classes a picture of tissue is no picture of ImageNet's
    assert torch.stack(ratios[: len(ratios) // 2]).min() > 0.5


def test_a_saved_network_needs_the_package_no_more(tmp_path, monkeypatch):
    network = build(UNET).eval()
    save_ensemble(Ensemble(UNET, network, ()), tmp_path / "weights")
    monkeypatch.setattr(packaged, "PACKAGES", {})
    again = load_ensemble(tmp_path / "weights")
    assert again.config == replace(UNET, encoder_weights="scratch")
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(again.teacher.eval()(images), network(images))


def test_an_encoder_that_no_package_brings_is_refused_in_words():
    with pytest.raises(NetworkError, match="No installed package brings") as refusal:
        build(NetworkConfig("unet", "resnet18", "imagenet"))
    assert refusal.value.code == "encoder_weights_missing"


def test_another_file_than_the_known_one_is_refused(monkeypatch):
    known = packaged.PACKAGES[LITE]
    monkeypatch.setitem(packaged.PACKAGES, LITE, replace(known, sha256="0" * 64))
    with pytest.raises(NetworkError, match="not the one that is known") as refusal:
        build(UNET)
    assert refusal.value.code == "encoder_weights_unreadable"
