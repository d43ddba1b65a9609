"""Fast rounds: the starter's last layers go on learning, on features that are computed once.

All below a network's last block, or below its head, stays as the starter has it. What it makes of
each labelled patch (turned four ways, as it is and in a strong view) and of some unlabelled ones is
computed once, and the students and the teacher of `eugmt-plus` are then those last layers alone: a
step of them costs a tenth of a whole network's. The result is a network like every other.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from models import augment
from models.batches import IGNORE, MEMBRANE, Drawn, step_seed
from models.networks import SmallUNet, load_ensemble
from models.presets import TrainingConfig, preset
from models.semisup.eugmt import Eugmt
from models.semisup.eugmt_options import EugmtOptions
from models.semisup.schedules import rate
from models.starter import weights_path

Images = npt.NDArray[np.uint8]
TURNS, SEEN = 4, 16
"""Quarter turns of a labelled patch, and unlabelled patches, that features are computed of."""
STEPS, RATE, CROP, BATCH = 400, 5e-3, 64, 8
AT_ONCE = 8


class Trunk(nn.Module):
    """What stays: features (B, 4, H, W) of images; two by two pixels' channels lie in one place.

    So they are as large as the images, and a crop of both is the same crop.
    """

    def __init__(self, network: SmallUNet, *, below_block: bool) -> None:
        super().__init__()
        self.network = network
        self.below_block = below_block

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        network = self.network
        levels = network.encode(images)
        features = levels[-1]
        steps = zip(network.narrow, network.up, levels[-2::-1], strict=True)
        for number, (narrow, block, skip) in enumerate(steps, 1):
            features = F.interpolate(narrow(features), scale_factor=2.0) + skip
            if number < len(network.up) or not self.below_block:
                features = block(features)
        return F.pixel_shuffle(features, 2)


class Tail(nn.Module):
    """What learns: logits (B, 2, H, W) of a trunk's features."""

    def __init__(self, network: SmallUNet, *, below_block: bool) -> None:
        super().__init__()
        self.block = network.up[-1] if below_block else nn.Identity()
        self.head = network.head

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(self.block(F.pixel_unshuffle(features, 2)))
        return F.pixel_shuffle(logits, 2)


@dataclass(frozen=True)
class Computed:
    """Features of the labelled patches, weak and strong, their masks, and of unlabelled ones.

    labelled: two of (TURNS x N, 4, 256, 256); masks: (TURNS x N, 256, 256); unlabelled: the patch
    as it is and two strong views.
    """

    labelled: tuple[Tensor, ...]
    masks: Tensor
    unlabelled: tuple[Tensor, ...]


def learned(
    images: Images, masks: Images, unlabelled: Images, seed: int, *, block: bool
) -> nn.Module:
    """Learn the starter's last block and head, or its head alone; return the teacher's network."""
    generator = Generator().manual_seed(step_seed(seed, 0, stream=0))
    base = starter()
    computed = compute(Trunk(base, below_block=block), images, masks, unlabelled, generator)
    networks = [starter() for _ in range(3)]
    tails = [Tail(network, below_block=block).train() for network in networks]
    config = preset("eugmt-plus", iterations=STEPS, learning_rate=RATE, crop=CROP)
    assert isinstance(config.options, EugmtOptions)
    # the statistics below the last layers are the starter's whatever is settled above
    options = replace(config.options, settled=0.0, weak_share=0.5)
    method = Eugmt((tails[1], tails[2]), tails[0], options, steps=STEPS)
    learn(method, computed, config, generator)
    return networks[0].eval()


def starter() -> SmallUNet:
    network = load_ensemble(weights_path()).teacher.eval()
    assert isinstance(network, SmallUNet)
    return network


def compute(
    trunk: Trunk, images: Images, masks: Images, unlabelled: Images, generator: Generator
) -> Computed:
    pixels, marks = of_pixels(images), torch.from_numpy(masks)
    turned = torch.cat([torch.rot90(pixels, turns, (-2, -1)) for turns in range(TURNS)])
    plain = of_pixels(unlabelled[:SEEN])
    return Computed(
        tuple(features(trunk, turned, strong, generator) for strong in (False, True)),
        torch.cat([torch.rot90(marks, turns, (-2, -1)) for turns in range(TURNS)]),
        tuple(features(trunk, plain, strong, generator) for strong in (False, True, True)),
    )


def of_pixels(images: Images) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def features(trunk: Trunk, pixels: Tensor, strong: bool, generator: Generator) -> Tensor:  # noqa: FBT001
    change = augment.STRONG["stain"]
    views = (change(part, generator) if strong else part for part in torch.split(pixels, AT_ONCE))
    return torch.cat([trunk(augment.normalise(view)) for view in views])


def learn(method: Eugmt, computed: Computed, config: TrainingConfig, generator: Generator) -> None:
    weights = [weight for student in method.students for weight in student.parameters()]
    optimiser = torch.optim.AdamW(weights, weight_decay=config.weight_decay, fused=True)
    for step in range(config.iterations):
        factor = rate(config.schedule, step, config.iterations, warm_up=config.warm_up)
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * factor
        parts = dict(drawn(computed, generator))
        for losses in method.updates(Drawn(parts.__getitem__), step):
            optimiser.zero_grad(set_to_none=True)
            losses["total"].backward()  # type: ignore[no-untyped-call]
            if not math.isfinite(float(losses["total"].detach())):
                raise ValueError(f"The loss is no number any more at step {step}.")
            optimiser.step()
            method.after_update(step)


def drawn(computed: Computed, generator: Generator) -> Iterator[tuple[str, object]]:
    """Yield the parts of a batch of crops."""
    weak, strong, masks = cropped((*computed.labelled, computed.masks), generator)
    yield from (("labelled", weak), ("labelled_strong", strong))
    yield from (("labels", (masks == MEMBRANE).long()), ("valid", masks != IGNORE))
    plain, first, second = cropped(computed.unlabelled, generator)
    yield from (("unlabelled", plain), ("unlabelled_strong", (first, second)))
    # noise of pixels has no part in features: the strong view stands for it
    yield "unlabelled_noisy", first


def cropped(stacks: tuple[Tensor, ...], generator: Generator) -> list[Tensor]:
    """Cut the same random crops from all stacks, at even places."""
    count, side = len(stacks[0]), stacks[0].shape[-1]
    numbers = torch.randint(count, (BATCH,), generator=generator).tolist()
    places = 2 * torch.randint((side - CROP) // 2 + 1, (BATCH, 2), generator=generator)
    boxes = [
        (number, ..., slice(top, top + CROP), slice(left, left + CROP))
        for number, (top, left) in zip(numbers, places.tolist(), strict=True)
    ]
    return [torch.stack([stack[box] for box in boxes]) for stack in stacks]
