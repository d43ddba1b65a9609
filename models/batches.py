"""The batch of a step: random crops, their weak and strong views, normalised.

Each part is drawn from a generator of its own, seeded by (seed, step, part): a part that a method
never reads need not be made, and which parts are made, when and by whom changes none of them.
"""

import hashlib
from collections.abc import Callable
from dataclasses import fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from models import augment
from models.distributed import Group
from models.presets import TrainingConfig
from models.semisup.method import Batch

Images = npt.NDArray[np.uint8]
MEMBRANE, IGNORE = 255, 127
STREAMS_OF_A_RANK = 16
GLOBAL, NETWORKS = 1, 2
"""Streams of torch's global generator in a step, and of the networks' first weights."""
WHOLE = 24
"""Uncut images of a batch: a few million pixels."""
SELDOM = frozenset({"whole"})
"""Parts that a method reads once a training."""
LABELLED, UNLABELLED, LABELLED_STRONG, UNLABELLED_STRONG, NOISE = 0, 3, 4, (5, 6), 7


class Drawn(Batch):
    """A batch whose parts are made when they are first read: make(name of the part)."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        # a batch is frozen: its parts are put into its dictionary, where they are looked up first
        vars(self)["make"] = make

    def __getattr__(self, name: str) -> Any:
        if name not in PARTS:
            raise AttributeError(name)
        vars(self)[name] = part = self.make(name)
        return part


PARTS = tuple(field.name for field in fields(Batch))


class Drawing:
    """Makes the parts of a step's batch, each by the method of its name.

    Of several processes that train together each draws its own share of the images.
    """

    def __init__(
        self,
        config: TrainingConfig,
        images: Images,
        masks: Images,
        unlabelled: Images,
        step: int,
        group: Group | None = None,
    ) -> None:
        self.config = config
        self.arrays = images, masks, unlabelled
        self.step = step
        self.group = group or Group(torch.device(config.device))

    def make(self, name: str) -> Any:
        return getattr(self, name)()

    def labelled(self) -> Tensor:
        return self.placed(augment.normalise(self.labelled_crops[1]))

    def labelled_strong(self) -> Tensor:
        return self.strong(self.labelled_crops[1], LABELLED_STRONG)

    def labels(self) -> Tensor:
        return self.placed((self.labelled_crops[2] == MEMBRANE).long())

    def valid(self) -> Tensor:
        return self.placed(self.labelled_crops[2] != IGNORE)

    def source(self) -> Tensor:
        return self.placed(self.labelled_crops[0])

    def unlabelled(self) -> Tensor:
        return self.placed(augment.normalise(self.unlabelled_crops))

    def unlabelled_strong(self) -> tuple[Tensor, ...]:
        return tuple(self.strong(self.unlabelled_crops, stream) for stream in UNLABELLED_STRONG)

    def unlabelled_noisy(self) -> Tensor:
        normalised = augment.normalise(self.unlabelled_crops)
        return self.placed(augment.noisy(normalised, self.generator(NOISE)))

    def whole(self) -> Tensor:
        unlabelled = self.arrays[2]
        spread = np.linspace(0, len(unlabelled) - 1, WHOLE).round().astype(int)
        # sides that are so many crops any network can take that takes a crop
        height, width = (side - side % self.config.crop for side in unlabelled.shape[1:3])
        pixels = torch.from_numpy(unlabelled[spread, :height, :width]).permute(0, 3, 1, 2)
        return self.placed(augment.normalise(pixels.float() / 255))

    @cached_property
    def labelled_crops(self) -> tuple[Tensor, Tensor, Tensor]:
        images, masks, _ = self.arrays
        count = self.config.batch_labelled // self.group.size
        return crops(images, masks, count, self.config.crop, self.generator(LABELLED))

    @cached_property
    def unlabelled_crops(self) -> Tensor:
        unlabelled = self.arrays[2]
        count = self.config.batch_unlabelled // self.group.size
        # a channel stands in for the mask that there is none of
        _, pixels, _ = crops(
            unlabelled, unlabelled[..., 0], count, self.config.crop, self.generator(UNLABELLED)
        )
        return pixels

    def strong(self, pixels: Tensor, stream: int) -> Tensor:
        change = augment.STRONG[self.config.strong]
        return self.placed(augment.normalise(change(pixels, self.generator(stream))))

    def generator(self, stream: int) -> Generator:
        seed = step_seed(self.config.seed, self.step, stream=stream, rank=self.group.rank)
        return Generator().manual_seed(seed)

    def placed(self, part: Tensor) -> Tensor:
        """Move a part to the device, images laid out channels-last as the networks are."""
        if part.ndim == 4:
            part = part.contiguous(memory_format=torch.channels_last)
        if self.group.device.type == "cuda":
            # from pinned memory the copy holds up neither this thread nor the device
            part = part.pin_memory()
        return part.to(self.group.device, non_blocking=True)


def draw(
    config: TrainingConfig, images: Images, masks: Images, unlabelled: Images, step: int
) -> Batch:
    """Draw the batch of a step: crops, weak and strong views, normalised."""
    return Drawn(Drawing(config, images, masks, unlabelled, step).make)


def crops(
    images: Images, masks: Images, count: int, side: int, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw weak views of random images: their numbers, float (count, 3, side, side) in 0..1,
    and their masks.
    """
    chosen = torch.randint(len(images), (count,), generator=generator)
    pairs = [
        augment.weak(
            torch.from_numpy(images[index]).permute(2, 0, 1),
            torch.from_numpy(masks[index]),
            side,
            generator,
        )
        for index in chosen.tolist()
    ]
    pixels, marks = zip(*pairs, strict=True)
    return chosen, torch.stack(pixels).float() / 255, torch.stack(marks)


def step_seed(seed: int, step: int, *, stream: int, rank: int = 0) -> int:
    """Return an independent seed for each (seed, step, stream, rank)."""
    stream += STREAMS_OF_A_RANK * rank
    digest = hashlib.sha256(f"{seed} {step} {stream}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
