"""How many steps of a method an equal number of image passes allows: counted, not declared."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from models.batches import WHOLE, draw
from models.networks import SmallUNet
from models.prediction import PATCH_PX
from models.presets import TrainingConfig
from models.semisup.eugmt_options import EugmtOptions
from models.semisup.methods import METHODS

PROBES = 20
"""A method's cost may change in the course of a training: it is asked at this many moments."""
FORWARD_ONLY = 1 / 3
"""A backward pass costs about two forward ones."""
SIDE = 64
COUNTED: dict[str, float] = {}
"""Passes of a step by what they depend on: a study asks for the same again and again."""


class Meter:
    """Counts the image passes of networks by watching their first convolution."""

    def __init__(self) -> None:
        self.passes = 0.0
        self.hooks: list[RemovableHandle] = []

    def watch(self, network: nn.Module) -> nn.Module:
        first = next(each for each in network.modules() if isinstance(each, nn.Conv2d))
        self.hooks.append(first.register_forward_pre_hook(self.count))
        return network

    def count(self, layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        weight = next(layer.parameters())
        learns = torch.is_grad_enabled() and weight.requires_grad
        self.passes += len(arguments[0]) * (1.0 if learns else FORWARD_ONLY)


def passes_per_step(config: TrainingConfig) -> float:
    """Mean image passes of a step of this training, tried on small crops of noise.

    What goes through a network's first layer is counted, forward and backward one pass, a forward
    alone a third; what is done once in a training is left to `passes_once`. Not counted is what
    comes without that layer: the extra decoders of CCT, the critic of Duo-SegNet, projections and
    the selector; and a pass through a larger network is one pass, too.
    """
    batches = (config.batch_labelled, config.batch_unlabelled)
    key = json.dumps([config.method, asdict(config.options), batches], sort_keys=True)
    if key not in COUNTED:
        COUNTED[key] = counted(config)
    return COUNTED[key]


def counted(config: TrainingConfig) -> float:
    noise = np.random.default_rng(0)
    images = noise.integers(0, 256, (8, SIDE, SIDE, 3), dtype=np.uint8)
    masks = np.where(noise.random((8, SIDE, SIDE)) < 0.3, 255, 0).astype(np.uint8)
    small, options = replace(config, crop=SIDE, device="cpu"), config.options
    if isinstance(options, EugmtOptions):
        options = replace(options, settled=0.0)
    meter = Meter()

    def grow(number: int) -> nn.Module:
        torch.manual_seed(number)
        return meter.watch(SmallUNet().train())

    with torch.random.fork_rng(devices=[]):
        method = METHODS[config.method].make(grow, options, PROBES)
        # what a factory tries its networks with is no training
        meter.passes = 0.0
        for step in range(PROBES):
            # the passes are counted as the losses are built: nothing need be learned
            for _ in method.updates(draw(small, images, masks, images, step), step):
                pass
    return meter.passes / PROBES


def passes_once(config: TrainingConfig) -> float:
    """Image passes of settling the students and their teacher: a whole image is many crops."""
    if not isinstance(config.options, EugmtOptions) or not config.options.settled:
        return 0.0
    return 3 * WHOLE * FORWARD_ONLY * (PATCH_PX // config.crop) ** 2


def steps_for(passes: int, config: TrainingConfig) -> int:
    """Return how many steps of a training fit a budget of image passes."""
    return max(1, math.floor((passes - passes_once(config)) / passes_per_step(config)))
