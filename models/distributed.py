"""Several processes that train one model: `torchrun --nproc-per-node N …`, on CPUs or GPUs.

Each process draws its own share of a step's batch and builds the method's losses on it; then
gradients, batch-norm statistics and the losses themselves are averaged over the processes, once an
update, and all take the same step from the same weights. So they stay equal to the last bit.

The average is taken here, of one flat vector, and not by wrapping every network in
DistributedDataParallel: a method has several networks, calls each several times an update, or only
its encoder, and leaves out of an update what it likes; DDP's reducer allows for none of that
without extra passes. The price: the exchange does not run beside the backward pass.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """The processes that train together, seen from one of them: `rank` of `size`."""

    device: torch.device
    rank: int = 0
    size: int = 1
    control: Any = None
    """A group over the host's network: what is decided there never waits for a device."""

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, of one type, by its mean over the processes."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))

    def any(self, *, flag: bool) -> bool:
        """Return whether the flag is up in any process, the same in all of them."""
        if self.size == 1:
            return flag
        raised = torch.tensor(int(flag))
        dist.all_reduce(raised, op=dist.ReduceOp.MAX, group=self.control)
        return bool(raised)

    def of_leader(self, value: Any) -> Any:
        """Return the leading process's value in all of them."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self.control)
        return values[0]


def joined(device: str) -> Group:
    """Join the processes that torchrun started, or be alone where it did not.

    device: `cpu`, `cuda` or one GPU by number; several processes take a GPU each by their local
    rank. Gloo speaks between CPUs, NCCL between GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Group(torch.device(device))
    return together(device)


@cache
def together(device: str) -> Group:
    """Join once in a process: a training that follows another finds the group still there."""
    place, control = torch.device(device), None
    if place.type == "cuda":
        place = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(place)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    if place.type == "cuda":
        control = dist.new_group(backend="gloo")
    return Group(place, dist.get_rank(), dist.get_world_size(), control)
