"""Networks of the paper at a size for tests, and images for them."""

import torch

from models.networks import OF_THE_PAPER, NetworkConfig, build

TWO_PARTS = "test_resnet+test_vit"
"""Two models that timm has for tests: 0.1 M parameters a piece."""


def config(name, **changes):
    encoder = "swin_micro_window4" if name == "swin-unet" else TWO_PARTS
    return NetworkConfig(name, encoder, **changes)


def network(name, seed=0, **changes):
    torch.manual_seed(seed)
    return build(config(name, **changes))


def images(height, width=None, count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width or height, generator=generator)


NAMES = OF_THE_PAPER
