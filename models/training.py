"""The one training loop: every method, exact resume.

Step t draws everything random from a generator seeded by (seed, t), so the state of a training is
its weights, its optimiser and a number: killed anywhere and started again it ends in the same
weights to the last bit.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor, nn

from models import augment
from models.networks import Ensemble, NetworkConfig, build, load_ensemble, save_ensemble
from models.semisup.eugmt import MeanTeacher, MeanTeacherOptions
from models.semisup.method import Batch, Method
from models.semisup.schedules import cosine
from models.semisup.supervised import Supervised

Images = npt.NDArray[np.uint8]
Progress = Callable[[int, int, dict[str, float]], None]
MEMBRANE, IGNORE = 255, 127
REPORTS = 100
"""How often, at most, a training reports: each report reads the losses back from the device."""


class Stopped(Exception):
    """The training was asked to stop; it goes on from its checkpoint."""


class TrainingDataError(ValueError):
    """The arrays given can't be learned from; the text says why."""


@dataclass(frozen=True)
class TrainingConfig:
    """Everything a training depends on besides its images: recorded with the model."""

    preset: str = "eugmt-plus"
    method: str = "eugmt"
    options: MeanTeacherOptions = MeanTeacherOptions()
    network: NetworkConfig = NetworkConfig()
    iterations: int = 400
    batch_labelled: int = 4
    batch_unlabelled: int = 4
    crop: int = 128
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    schedule: str = "constant"
    warm_up: int = 0
    strong: str = "colour"
    seed: int = 0
    checkpoint_every: int = 25
    threads: int = 0
    device: str = "cpu"

    def document(self) -> dict[str, Any]:
        """Return the configuration as JSON types."""
        return asdict(self)


PAPER = TrainingConfig(
    preset="eugmt-paper", iterations=19_600, batch_labelled=6, batch_unlabelled=6, crop=256
)
PRESETS = {
    "eugmt-paper": PAPER,
    "ucmt": replace(
        PAPER,
        preset="ucmt",
        batch_labelled=8,
        batch_unlabelled=8,
        options=MeanTeacherOptions(unsupervised_weight=0.1, consistency_weight=0.0, ramp_share=0.2),
    ),
    "eugmt-plus": TrainingConfig(
        options=MeanTeacherOptions(
            unsupervised_weight=0.3,
            consistency_weight=0.3,
            ramp_share=0.5,
            ema_limit=0.98,
            student_mix=0.5,
            loss="dice+ce",
            steady_teacher=True,
            strong_labelled=True,
            grid=16,
        ),
        learning_rate=2e-3,
        schedule="cosine",
        warm_up=10,
        strong="stain",
    ),
    "supervised": TrainingConfig(
        preset="supervised",
        method="supervised",
        options=MeanTeacherOptions(loss="dice+ce"),
        learning_rate=2e-3,
        schedule="cosine",
        warm_up=10,
        strong="stain",
    ),
}


def preset(name: str, **changes: Any) -> TrainingConfig:
    """Return a preset with changes. Raises ValueError for an unknown name."""
    if name not in PRESETS:
        raise ValueError(f"There is no preset {name!r}; choose one of {', '.join(PRESETS)}.")
    return replace(PRESETS[name], **changes)


@dataclass(frozen=True)
class Trained:
    """A finished training: the weights' file, its sha256 and the steps it took."""

    path: Path
    sha256: str
    iterations: int


def train(
    config: TrainingConfig,
    images: Images,
    masks: Images,
    unlabelled: Images,
    *,
    workdir: Path,
    progress: Progress = lambda step, total, losses: None,
    stopping: Callable[[], bool] = lambda: False,
    initial: Path | None = None,
) -> Trained:
    """Train and save, from the checkpoint in `workdir` if there is one.

    images, unlabelled: uint8 (N, H, W, 3); masks: uint8 (N, H, W) of 0, 255 and 127 (ignore).
    `initial`: weights to start from, of the same network. `progress(step, of, mean losses)` is
    called about a hundred times; `stopping` is asked before every step: True leaves a checkpoint
    and raises Stopped.
    """
    check(config, images, masks, unlabelled)
    if config.threads:
        torch.set_num_threads(config.threads)
    workdir.mkdir(parents=True, exist_ok=True)
    run = Run(config, initial)
    fingerprint = identity(config, images, masks, unlabelled)
    run.restore(workdir / "checkpoint.pt", fingerprint)
    every = max(1, config.iterations // REPORTS)
    while run.step < config.iterations:
        if stopping():
            run.checkpoint(workdir / "checkpoint.pt", fingerprint)
            raise Stopped
        torch.manual_seed(step_seed(config.seed, run.step, stream=1))
        run.learn(draw(config, images, masks, unlabelled, run.step))
        if run.step % every == 0 or run.step == config.iterations:
            progress(run.step, config.iterations, run.mean_losses())
        if run.step % config.checkpoint_every == 0:
            run.checkpoint(workdir / "checkpoint.pt", fingerprint)
    path = workdir / "model.safetensors"
    ensemble = Ensemble(config.network, run.method.teacher, tuple(run.method.students))
    return Trained(path, save_ensemble(ensemble, path), run.step)


class Run:
    """What a training holds: networks, optimiser, step, and the losses since the last report."""

    def __init__(self, config: TrainingConfig, initial: Path | None) -> None:
        self.config = config
        self.step = 0
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.method = make_method(config, initial)
        learned = [weight for student in self.method.students for weight in student.parameters()]
        self.optimiser = torch.optim.AdamW(
            learned, lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def learn(self, batch: Batch) -> None:
        """Make the updates of one batch."""
        rate = self.config.learning_rate
        if self.config.schedule == "cosine":
            rate *= cosine(self.step, self.config.iterations, warm_up=self.config.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        for losses in self.method.updates(batch, self.step):
            self.optimiser.zero_grad(set_to_none=True)
            losses["total"].backward()
            self.optimiser.step()
            self.method.after_update(self.step)
            for name, loss in losses.items():
                self.sums[name] = self.sums.get(name, 0) + loss.detach()
                self.counts[name] = self.counts.get(name, 0) + 1
        self.step += 1

    def mean_losses(self) -> dict[str, float]:
        """Read the mean losses since the last call."""
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means

    def networks(self) -> nn.ModuleList:
        return nn.ModuleList([self.method.teacher, *self.method.students])

    def checkpoint(self, path: Path, fingerprint: str) -> None:
        """Write the state so that a kill at any moment leaves a whole checkpoint, old or new."""
        state = {
            "fingerprint": fingerprint,
            "step": self.step,
            "networks": self.networks().state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "sums": self.sums,
            "counts": self.counts,
        }
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)

    def restore(self, path: Path, fingerprint: str) -> None:
        """Go on from a checkpoint of this very training; any other is left alone."""
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.config.device, weights_only=True)
        if state["fingerprint"] != fingerprint:
            return
        self.step = state["step"]
        self.networks().load_state_dict(state["networks"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.sums, self.counts = state["sums"], state["counts"]


def make_method(config: TrainingConfig, initial: Path | None) -> Method:
    """Build the networks, each from its own seed, and the method over them."""
    networks = []
    for number in range(3):
        torch.manual_seed(step_seed(config.seed, number, stream=2))
        networks.append(build(config.network))
    if initial is not None:
        start = load_ensemble(initial)
        for network, weights in zip(networks, start.named().values(), strict=False):
            network.load_state_dict(weights.state_dict())
    teacher, *students = [
        network.to(config.device, memory_format=torch.channels_last).train() for network in networks
    ]
    if config.method == "supervised":
        return Supervised(tuple(students), config.options)
    first, second = students
    return MeanTeacher((first, second), teacher, config.options, steps=config.iterations)


def draw(
    config: TrainingConfig, images: Images, masks: Images, unlabelled: Images, step: int
) -> Batch:
    """Draw the batch of a step: crops, weak and strong views, normalised."""
    generator = Generator().manual_seed(step_seed(config.seed, step, stream=0))
    blank = np.zeros(unlabelled.shape[:-1], np.uint8)
    labelled, marks = views(images, masks, config.batch_labelled, config.crop, generator)
    seen, _ = views(unlabelled, blank, config.batch_unlabelled, config.crop, generator)
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
    )


def views(
    images: Images, masks: Images, count: int, side: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Draw weak views of random images: float (count, 3, side, side) in 0..1, and their masks."""
    chosen = torch.randint(len(images), (count,), generator=generator).tolist()
    pairs = [
        augment.weak(
            torch.from_numpy(images[index]).permute(2, 0, 1),
            torch.from_numpy(masks[index]),
            side,
            generator,
        )
        for index in chosen
    ]
    pixels, marks = zip(*pairs, strict=True)
    return torch.stack(pixels).float() / 255, torch.stack(marks)


def step_seed(seed: int, step: int, *, stream: int) -> int:
    """Return an independent seed for each (seed, step, stream)."""
    digest = hashlib.sha256(f"{seed} {step} {stream}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def identity(config: TrainingConfig, *arrays: Images) -> str:
    """Hash what a training depends on: a checkpoint of anything else is not gone on from."""
    digest = hashlib.sha256(json.dumps(config.document(), sort_keys=True).encode())
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def check(config: TrainingConfig, images: Images, masks: Images, unlabelled: Images) -> None:
    """Raise TrainingDataError for arrays that can't be learned from."""
    if len(images) == 0 or len(unlabelled) == 0:
        raise TrainingDataError("There must be at least one labelled and one unlabelled image.")
    if images.shape[:-1] != masks.shape:
        raise TrainingDataError(f"images {images.shape} and masks {masks.shape} do not match")
    sides: Sequence[int] = (*images.shape[1:3], *unlabelled.shape[1:3])
    if min(sides) < config.crop:
        raise TrainingDataError(
            f"Images of {min(sides)} px are smaller than a {config.crop} px crop."
        )
    if config.crop % config.options.grid:
        raise TrainingDataError(f"The crop must be a multiple of {config.options.grid} px.")
