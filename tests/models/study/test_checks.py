"""What can't be trained is named before anything is trained."""

from dataclasses import replace

import pytest

from models.networks import NetworkConfig, NetworkError
from models.study.checks import check
from models.study.contenders import chosen
from models.study.files import DatasetError
from models.study.protocol import Protocol

SMALL_DEEP = NetworkConfig("deeplabv3plus", "resnet18")


def code(protocol, *names, changes=None):
    competing = [replace(each, changes=changes or {}) for each in chosen(names or ["cps"])]
    with pytest.raises((DatasetError, NetworkError)) as caught:
        check(competing, protocol)
    words = str(caught.value)
    assert words.endswith(".")
    assert "\n" not in words
    return caught.value.code


def test_what_can_be_trained_passes():
    check(chosen(["cps", "eugmt-plus"]), Protocol(crop=64))
    check(chosen(["cps"]), Protocol(crop=64, network=SMALL_DEEP))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"crop": 90}, "wrong_option"),
        ({"crop": 512}, "wrong_option"),
        ({"crop": 8}, "wrong_option"),
        ({"crop": 40, "network": NetworkConfig("swin-unet", "small")}, "image_size"),
        ({"learning_rate": 0.0}, "wrong_option"),
        ({"learning_rate": float("nan")}, "wrong_option"),
        ({"schedule": "steps"}, "wrong_option"),
        ({"device": "foo"}, "wrong_option"),
        ({"device": "meta"}, "wrong_option"),
        ({"device": "cuda:99"}, "no_gpu"),
        ({"network": NetworkConfig(encoder="nonsense")}, "unknown_encoder"),
        ({"network": NetworkConfig("unet", "nonsense")}, "unknown_encoder"),
        ({"network": NetworkConfig("transunet", "nonsense")}, "unknown_encoder"),
        ({"network": NetworkConfig("deeplabv3plus", "tu-resnet9000")}, "unknown_encoder"),
        ({"network": replace(SMALL_DEEP, output_stride=7)}, "network_unbuildable"),
    ],
)
def test_what_can_not_is_named(changes, wanted):
    assert code(replace(Protocol(crop=64), **changes)) == wanted


def test_the_grid_of_the_exchange_must_fit_the_crop():
    assert code(Protocol(crop=72), "eugmt-paper") == "wrong_option"


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": "fast"},
        {"batch_labelled": 0},
        {"precision": "half"},
        {"weight_decay": "some"},
        {"weight_decay": float("nan")},
    ],
)
def test_a_variants_numbers_are_checked_too(changes):
    assert code(Protocol(crop=64), changes=changes) == "wrong_option"


@pytest.mark.parametrize(
    ("name", "switches", "wanted"),
    [
        ("eugmt-paper", {"exchanged": "two"}, "switch_unusable"),
        ("eugmt-paper", {"exchanged": 500}, "switch_unusable"),
        ("eugmt-paper", {"unsupervised_weight": "much"}, "switch_unusable"),
        ("eugmt-paper", {"grid": 0}, "wrong_option"),
        ("unimatch", {"strong_views": 0}, "switch_unusable"),
        ("duo-segnet", {"critic_stride": 0}, "switch_unusable"),
    ],
)
def test_a_variants_switches_are_tried_before_anything_is_trained(name, switches, wanted):
    competing = [replace(each, switches=switches) for each in chosen([name])]
    with pytest.raises(DatasetError, match=name) as caught:
        check(competing, Protocol(crop=64))
    assert caught.value.code == wanted
