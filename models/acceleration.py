"""Half precision, compilation and threads of a training's networks."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)
PRECISIONS = ("float32", "bfloat16")
Update = TypeVar("Update")
"""What a method yields of one: its losses by name."""


class ExactConv2d(nn.Conv2d):
    """A convolution that stays in float32 among others in half precision."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is nn.Conv2d's
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


def exact_at_the_end(network: nn.Module) -> nn.Module:
    """Have a network's last convolution give float32 logits, and so everything after it.

    Eight bits of a logit would give the selector ties by the thousand, and a loss is a sum of
    small differences.
    """
    last = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)][-1]
    last.__class__ = ExactConv2d
    return network


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Have torch compute on so many threads here, and on as many as before afterwards; 0: as it is.

    What a worker predicts after a training is not to be on the training's threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_precision(name: str, device: torch.device, updates: Iterator[Update]) -> Iterator[Update]:
    """Yield a method's updates, each built in the precision named; between them it is float32.

    Weights are kept in float32 and rounded at every use. Autocast's cache of rounded weights is
    left out: in some releases of torch what a pass without gradients put there is given to the
    next pass, whose weights then get none, and methods run the same student both ways.
    """
    half = name == "bfloat16"
    while True:
        with torch.autocast(device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            losses = next(updates, None)
        if losses is None:
            return
        yield losses


@cache
def no_compiler(device: str) -> str:
    """Return why torch can't compile for a device here, in a line; empty where it can."""
    try:
        # what an earlier compiler left would be found without one
        probe = torch.compile(lambda numbers: numbers + 1, options={"force_disable_caches": True})
        probe(torch.zeros(8, device=device))
    except Exception as error:  # noqa: BLE001 - each compiler that is missing has its own error
        return str(error).strip().splitlines()[0]
    return ""


def compiled(networks: list[nn.Module], device: torch.device) -> bool:
    """Compile the networks in place, if a compiler is found; else say so and leave them."""
    if reason := no_compiler(str(device)):
        log.warning("Not compiled, trained as without it, for torch finds no compiler: %s", reason)
        return False
    for network in networks:
        # a kernel for each shape: one for all of them would be of the shapes seen before, and
        # so others after a kill
        network.compile(dynamic=False)
    return True
