"""The batch of a step: random crops, their weak and strong views, normalised."""

import hashlib

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from models import augment
from models.presets import TrainingConfig
from models.semisup.method import Batch

Images = npt.NDArray[np.uint8]
MEMBRANE, IGNORE = 255, 127


def draw(
    config: TrainingConfig, images: Images, masks: Images, unlabelled: Images, step: int
) -> Batch:
    """Draw the batch of a step: crops, weak and strong views, normalised."""
    generator = Generator().manual_seed(step_seed(config.seed, step, stream=0))
    blank = np.zeros(unlabelled.shape[:-1], np.uint8)
    source, labelled, marks = views(images, masks, config.batch_labelled, config.crop, generator)
    _, seen, _ = views(unlabelled, blank, config.batch_unlabelled, config.crop, generator)
    strong = augment.STRONG[config.strong]

    def ready(view: Tensor) -> Tensor:
        on_device = augment.normalise(view).to(config.device, non_blocking=True)
        return on_device.contiguous(memory_format=torch.channels_last)

    return Batch(
        labelled=ready(labelled),
        labelled_strong=ready(strong(labelled, generator)),
        labels=(marks == MEMBRANE).long().to(config.device),
        valid=(marks != IGNORE).to(config.device),
        unlabelled=ready(seen),
        unlabelled_strong=(ready(strong(seen, generator)), ready(strong(seen, generator))),
        unlabelled_noisy=augment.noisy(ready(seen), generator),
        source=source.to(config.device),
    )


def views(
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


def step_seed(seed: int, step: int, *, stream: int) -> int:
    """Return an independent seed for each (seed, step, stream)."""
    digest = hashlib.sha256(f"{seed} {step} {stream}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
