"""The one training loop: every method, exact resume.

Step t draws everything random from a generator seeded by (seed, t), so the state of a training is
its weights, its optimiser and a number: killed anywhere and started again it ends in the same
weights to the last bit.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import acceleration, distributed
from models.batches import GLOBAL, NETWORKS, Drawing, Images, step_seed
from models.distributed import Group
from models.networks import (
    FEATURED,
    PACKAGED,
    SCRATCH,
    Ensemble,
    NetworkConfig,
    NetworkError,
    build,
    load_ensemble,
    place,
    save_ensemble,
)
from models.prefetch import Prefetch
from models.presets import PRESETS, TrainingConfig, preset
from models.semisup.method import Batch, Losses, Method
from models.semisup.methods import METHODS
from models.semisup.schedules import rate
from models.whole_file import whole_file

__all__ = [
    "PRESETS",
    "Stopped",
    "Trained",
    "TrainingConfig",
    "TrainingDataError",
    "TrainingDiverged",
    "preset",
    "train",
]

Progress = Callable[[int, int, dict[str, float]], None]
Watch = Callable[[int, Ensemble], None]
REPORTS = 100
"""How often, at most, a training reports: each report reads the losses back from the device."""


class Stopped(Exception):
    """The training was asked to stop; it goes on from its checkpoint."""


class TrainingDataError(ValueError):
    """The arrays given can't be learned from; the text says why."""


class CompilerGone(TrainingDataError):
    """The training was begun compiled, or not, and can't go on to the same weights."""

    code = "compiler_gone"


class TrainingDiverged(TrainingDataError):
    """A loss is no longer a number: run again it would end the same."""


@dataclass(frozen=True)
class Trained:
    """A finished training: the weights' file, its sha256, the steps it took, and how.

    updates: of the weights; a step of some methods makes two.
    """

    path: Path
    sha256: str
    iterations: int
    updates: int
    compiled: bool


def unreported(step: int, total: int, losses: dict[str, float]) -> None:
    """Tell nobody."""


def never() -> bool:
    return False


def unwatched(step: int, ensemble: Ensemble) -> None:
    """Look at nothing."""


def train(
    config: TrainingConfig,
    images: Images,
    masks: Images,
    unlabelled: Images,
    *,
    workdir: Path,
    progress: Progress = unreported,
    watch: Watch = unwatched,
    stopping: Callable[[], bool] = never,
    initial: Path | None = None,
) -> Trained:
    """Train and save, from the checkpoint in `workdir` if there is one.

    images, unlabelled: uint8 (N, H, W, 3); masks: uint8 (N, H, W) of 0, 255 and 127 (ignore).
    `initial`: weights to start from, of the same network. `progress(step, of, mean losses)` is
    called about a hundred times, and `watch(step, ensemble)` after it, which must leave its
    networks as they are; `stopping` is asked before every step: True leaves a checkpoint
    and raises Stopped. Raises TrainingDataError for arrays that can't be learned from.
    """
    group = distributed.joined(config.device)
    check(config, group.size, images, masks, unlabelled)
    if initial is None:
        check_frozen(config.network)
    if config.options.learns_labelled_twice:
        unlabelled = np.concatenate([unlabelled, images])
    workdir.mkdir(parents=True, exist_ok=True)
    run, file = Run(config, initial, group), workdir / "checkpoint.pt"
    setting = {"processes": group.size, "compiled": config.compile}
    fingerprint = identity(config, setting, initial, images, masks, unlabelled)
    run.restore(file, fingerprint)
    every = max(1, config.iterations // REPORTS)

    def begin(step: int) -> Drawing:
        return Drawing(config, images, masks, unlabelled, step, group)

    # a GPU's step may be quicker than the drawing of its batch
    workers = 4 if group.device.type == "cuda" else 1
    prefetched = Prefetch(begin, run.step, config.iterations, workers=workers)
    with acceleration.on_threads(config.threads), prefetched as batches:
        while run.step < config.iterations:
            if group.any(flag=stopping()):
                run.checkpoint(file, fingerprint)
                raise Stopped
            run.learn(batches.take())
            if run.step % every == 0 or run.step == config.iterations:
                losses = run.mean_losses()
                if group.leads:
                    progress(run.step, config.iterations, losses)
                    watch(run.step, run.ensemble())
            if run.step % config.checkpoint_every == 0:
                run.checkpoint(file, fingerprint)
    path = workdir / "model.safetensors"
    sha256 = save_ensemble(run.ensemble(), path) if group.leads else ""
    return Trained(path, group.of_leader(sha256), run.step, run.updates, run.compiled)


class Run:
    """What a training holds: networks, optimiser, step, and the losses since the last report."""

    def __init__(
        self, config: TrainingConfig, initial: Path | None, group: Group | None = None
    ) -> None:
        self.config = config
        self.group = group or Group(torch.device(config.device))
        self.step = 0
        self.updates = 0
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.method = make_method(config, initial, self.group.device)
        learners = (*self.method.students, *self.method.extras)
        self.learned = [weight for learner in learners for weight in learner.parameters()]
        self.optimiser = torch.optim.AdamW(
            self.learned,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            # all weights in one call, where torch has it
            fused=self.group.device.type in {"cpu", "cuda"},
        )
        self.compiled = config.compile and acceleration.compiled(
            [self.method.teacher, *self.method.students], self.group.device
        )

    def learn(self, batch: Batch) -> None:
        """Make the updates of one batch. No value is read back: a device is never waited for."""
        config, group = self.config, self.group
        factor = rate(config.schedule, self.step, config.iterations, warm_up=config.warm_up)
        for settings in self.optimiser.param_groups:
            settings["lr"] = config.learning_rate * factor
        torch.manual_seed(step_seed(config.seed, self.step, stream=GLOBAL, rank=group.rank))
        updates = self.method.updates(batch, self.step)
        # on a GPU the quickest kernels add in any order: a training gone on with would differ
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            for losses in acceleration.in_precision(config.precision, group.device, updates):
                self.update(losses)
        self.step += 1

    def update(self, losses: Losses) -> None:
        """Step the optimiser on one update's losses, the same in all processes."""
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses["total"])
        values = torch.stack([loss.detach() for loss in losses.values()])
        self.group.average([*self.gradients(), *self.statistics(), values])
        self.optimiser.step()
        self.updates += 1
        self.method.after_update(self.step)
        for name, value in zip(losses, values.unbind(), strict=True):
            self.sums[name] = self.sums.get(name, 0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def gradients(self) -> list[Tensor]:
        return [weight.grad for weight in self.learned if weight.grad is not None]

    def statistics(self) -> list[Tensor]:
        """Return what networks keep besides weights: batch norm's means and variances."""
        return [buffer for buffer in self.networks().buffers() if buffer.is_floating_point()]

    def mean_losses(self) -> dict[str, float]:
        """Read the mean losses since the last call. Raises TrainingDiverged."""
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        lost = [name for name, mean in means.items() if not math.isfinite(mean)]
        if lost:
            raise TrainingDiverged(
                f"The loss {lost[0]} is no number any more at step {self.step}; "
                "lower the learning rate."
            )
        self.sums, self.counts = {}, {}
        return means

    def ensemble(self) -> Ensemble:
        """Return the teacher and the students as they are now."""
        return Ensemble(self.config.network, self.method.teacher, tuple(self.method.students))

    def networks(self) -> nn.ModuleList:
        return nn.ModuleList([self.method.teacher, *self.method.students, *self.method.extras])

    def checkpoint(self, path: Path, fingerprint: str) -> None:
        """Write the state so that a kill at any moment leaves a whole checkpoint, old or new."""
        state = {
            "fingerprint": fingerprint,
            "compiled": self.compiled,
            "step": self.step,
            "updates": self.updates,
            "networks": self.networks().state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "sums": self.sums,
            "counts": self.counts,
        }
        if not self.group.leads:
            return
        with whole_file(path) as fresh:
            torch.save(state, fresh)

    def restore(self, path: Path, fingerprint: str) -> None:
        """Go on from a checkpoint of this very training; any other is left alone.

        Raises CompilerGone for one whose networks were compiled and no longer are, or are now.
        """
        state = None
        if self.group.leads and path.is_file():
            state = torch.load(path, map_location=self.group.device, weights_only=True)
        state = self.group.of_leader(state)
        if state is None or state["fingerprint"] != fingerprint:
            return
        if state.get("compiled", False) != self.compiled:
            raise CompilerGone(
                f"The training in {path.parent} was begun with{'out' * self.compiled} a compiler, "
                f"and torch finds {'one' if self.compiled else 'none'} now: going on would end in "
                "other weights. Bring back what was there, or delete the folder to begin anew."
            )
        self.step = state["step"]
        # a checkpoint of before counted steps alone
        self.updates = state.get("updates", self.step)
        self.networks().load_state_dict(state["networks"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.sums, self.counts = state["sums"], state["counts"]


def make_method(
    config: TrainingConfig, initial: Path | None, device: torch.device | None = None
) -> Method:
    """Build the method over networks that are each drawn from their own seed."""
    start = load_ensemble(initial).networks() if initial is not None else ()

    def grow(number: int) -> nn.Module:
        torch.manual_seed(step_seed(config.seed, number, stream=NETWORKS))
        network = build(config.network)
        if start:
            # of a model with fewer networks every other goes on from its last one
            network.load_state_dict(start[min(number, len(start) - 1)].state_dict())
        if config.precision != "float32":
            acceleration.exact_at_the_end(network)
        return place(network, str(device or config.device)).train()

    return METHODS[config.method].make(grow, config.options, config.iterations)


def check_frozen(network: NetworkConfig) -> None:
    """Raise NetworkError where what is never learned would stay as it was drawn."""
    if network.architecture == FEATURED and network.encoder_weights == SCRATCH:
        raise NetworkError(
            "encoder_weights_missing",
            f"{FEATURED} sees what a frozen encoder sees, and one of random weights sees nothing: "
            f"set the encoder weights to the word {PACKAGED!r}, or name a file.",
        )


def identity(
    config: TrainingConfig, setting: dict[str, Any], initial: Path | None, *arrays: Images
) -> str:
    """Hash what a training depends on: a checkpoint of anything else is not gone on from."""
    document = config.document() | setting
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    digest.update(initial.read_bytes() if initial is not None else b"")
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def check(
    config: TrainingConfig, processes: int, images: Images, masks: Images, unlabelled: Images
) -> None:
    """Raise TrainingDataError for arrays that can't be learned from, or not in this setting."""
    if len(images) == 0 or len(unlabelled) == 0:
        raise TrainingDataError("There must be at least one labelled and one unlabelled image.")
    if images.shape[:-1] != masks.shape:
        raise TrainingDataError(f"images {images.shape} and masks {masks.shape} do not match")
    sides: Sequence[int] = (*images.shape[1:3], *unlabelled.shape[1:3])
    if min(sides) < config.crop:
        raise TrainingDataError(
            f"Images of {min(sides)} px are smaller than a {config.crop} px crop."
        )
    cells = config.options.cells
    if config.crop % cells:
        raise TrainingDataError(f"The crop must be a multiple of {cells} px.")
    if config.precision not in acceleration.PRECISIONS:
        raise TrainingDataError(
            f"There is no precision {config.precision!r}; choose one of "
            f"{', '.join(acceleration.PRECISIONS)}."
        )
    if config.batch_labelled % processes or config.batch_unlabelled % processes:
        raise TrainingDataError(
            f"Batches of {config.batch_labelled} and {config.batch_unlabelled} images can't be "
            f"shared evenly among {processes} processes."
        )
