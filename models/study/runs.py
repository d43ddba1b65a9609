"""One training of a table: from a dataset, a contender and a seed to figures on held-out groups.

Everything it leaves lies in its own folder: killed, it goes on from there. No choice is made in a
training, on the test patches nor on the validation patches: the weights of the last step are
judged. People choose between methods by the validation part of the rows.
"""

import fcntl
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models import distributed
from models.augment import normalise
from models.metrics import Counts, compare
from models.metrics.evaluation import evaluate
from models.networks import load_ensemble, place
from models.study import dataset
from models.study.budget import steps_for
from models.study.contenders import Contender
from models.study.dataset import Dataset, DatasetError, Split
from models.study.protocol import Protocol
from models.training import (
    Progress,
    Trained,
    TrainingConfig,
    Watch,
    train,
    unreported,
    unwatched,
)

CURVE_POINTS = 10
CURVE_PATCHES = 24
BATCH = 8
CHECKPOINT = "checkpoint.pt"
RESOURCES = ("checkpoint_every", "device", "threads")
"""Of a configuration: what it takes to train, not what comes of it."""
VALIDATION, TEST = "validation", "test"
"""What a row is judged on: choices are made on the first, so that the second stays unseen."""


@dataclass(frozen=True)
class Cell:
    """A training of a table. share: of the training patches that are asked to have labels."""

    contender: Contender
    share: float
    seed: int

    @property
    def labelled(self) -> float:
        """The share that has labels: all, for a method that is shown with all labels."""
        return 1.0 if self.contender.all_labels else self.share

    @property
    def key(self) -> str:
        return f"{self.contender.name}-{self.labelled:g}-{self.seed}"


def cells_of(contenders: Sequence[Contender], shares: Sequence[float], seeds: int) -> list[Cell]:
    """Return all trainings of a study, each once."""
    cells = [
        Cell(contender, share, seed)
        for seed in range(seeds)
        for share in shares
        for contender in contenders
    ]
    return list({cell.key: cell for cell in cells}.values())


def run(
    cell: Cell,
    data: Dataset,
    protocol: Protocol,
    folder: Path,
    *,
    judge: str = TEST,
    threads: int = 1,
    progress: Progress = unreported,
) -> dict[str, Any]:
    """Train, judge on held-out patches, and return the row of `results.json`.

    The row's `validation` is what choices are made by; `test` is there too unless `judge` is
    `validation`: then nothing is predicted for the test patches. Of several processes that torchrun
    started all train, and the leading one alone judges and writes; the others return an empty row.
    """
    part = dataset.split(data, seed=protocol.split_seed)
    chosen = dataset.labelled(part, cell.labelled, seed=cell.seed)
    config = configured(cell, protocol, threads)
    log = Log.of(folder, fingerprint(config, data, chosen))

    def watch(step: int, teacher: nn.Module) -> None:
        if step * CURVE_POINTS // config.iterations <= log.points:
            return
        few = part.validation[:: max(1, len(part.validation) // CURVE_PATCHES)]
        found = predict(teacher, data.images[few])
        log.add(step / config.iterations, pooled_dice(found, data.truth(few)))

    trained = fit(config, data, part, chosen, folder, progress=progress, watch=watch)
    if not distributed.joined(protocol.device).leads:
        return {}
    teacher = place(load_ensemble(trained.path).teacher, protocol.device)
    judged = {VALIDATION: judged_on(teacher, data, part.validation)}
    if judge == TEST:
        judged[TEST] = judged_on(teacher, data, part.test)
    log.add(1.0, None)
    return {
        "set": data.name,
        "method": cell.contender.name,
        "labelled": cell.labelled,
        "labelled_patches": len(chosen),
        "seed": cell.seed,
        "steps": config.iterations,
        "config": config.document(),
        "compiled": trained.compiled,
        "weights_sha256": trained.sha256,
        "seconds": round(log.seconds, 1),
        "curve": log.curve,
        **judged,
    }


def judged_again(
    row: Mapping[str, Any], data: Dataset, protocol: Protocol, folder: Path, judge: str
) -> dict[str, Any] | None:
    """Return a row judged on other patches, too, by the weights left of it; None without them."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return None
    if hashlib.sha256(weights.read_bytes()).hexdigest() != row["weights_sha256"]:
        return None
    part = dataset.split(data, seed=protocol.split_seed)
    teacher = place(load_ensemble(weights).teacher, protocol.device)
    patches = part.test if judge == TEST else part.validation
    return {**row, judge: judged_on(teacher, data, patches)}


def judged_on(teacher: nn.Module, data: Dataset, patches: npt.NDArray[np.intp]) -> dict[str, Any]:
    """Return all figures of what a network proposes for some patches."""
    proposals = predict(teacher, data.images[patches]) >= 0.5
    groups = [data.groups[index] for index in patches]
    return evaluate(proposals, data.truth(patches), groups, mpp=data.mpp).document()


def configured(cell: Cell, protocol: Protocol, threads: int) -> TrainingConfig:
    """Return the training of a cell, as long as the budget lasts."""
    config = cell.contender.config(protocol, steps=1, seed=cell.seed, threads=threads)
    torch.set_num_threads(threads)
    steps = steps_for(protocol.passes, config)
    return replace(config, iterations=steps, checkpoint_every=max(25, steps // CURVE_POINTS))


def meaning(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a training's result depends on, of its configuration as JSON types."""
    kept = json.loads(json.dumps(config))
    return {name: value for name, value in kept.items() if name not in RESOURCES}


def fingerprint(config: TrainingConfig, data: Dataset, chosen: npt.NDArray[np.intp]) -> str:
    """Hash what a training's weights depend on: configuration, set and labelled patches."""
    facts = [meaning(config.document()), data.sha256(), chosen.tolist()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def device_of(device: str, number: int) -> str:
    """Return the device of the `number`-th training of a study: GPUs take turns."""
    count = torch.cuda.device_count() if device == "cuda" else 0
    return f"cuda:{number % count}" if count > 1 else device


@contextmanager
def alone(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold a folder: another process waits, or is refused with DatasetError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(
                "study_running", f"Another process works in {folder}: wait for it or end it."
            ) from error
        yield


def fit(
    config: TrainingConfig,
    data: Dataset,
    part: Split,
    chosen: npt.NDArray[np.intp],
    folder: Path,
    *,
    progress: Progress = unreported,
    watch: Watch = unwatched,
) -> Trained:
    """Train on the chosen patches' masks and on the other training patches without theirs."""
    rest = np.setdiff1d(part.train, chosen)
    return train(
        config,
        data.images[chosen],
        data.masks[chosen],
        data.images[rest if len(rest) else chosen],
        workdir=folder,
        progress=progress,
        watch=watch,
    )


@torch.inference_mode()
def predict(network: nn.Module, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return membrane probabilities (N, H, W); the network is left in the mode it was in."""
    device, training = next(network.parameters()).device, network.training
    network.eval()
    found = []
    for start in range(0, len(images), BATCH):
        pixels = torch.from_numpy(images[start : start + BATCH]).to(device).permute(0, 3, 1, 2)
        logits = network(normalise(pixels.float() / 255)).float()
        found.append(torch.sigmoid(logits[:, 1] - logits[:, 0]).cpu().numpy())
    network.train(training)
    return np.concatenate(found)


def pooled_dice(probability: npt.NDArray[np.float32], masks: npt.NDArray[np.uint8]) -> float:
    counts = Counts()
    for each, mask in zip(probability, masks, strict=True):
        counts += compare(each >= 0.5, mask)
    return counts.dice


@dataclass
class Log:
    """Curve and seconds of a training, kept over restarts."""

    path: Path
    fingerprint: str
    curve: list[dict[str, float]]
    before: float
    began: float

    @classmethod
    def of(cls, folder: Path, fingerprint: str) -> "Log":
        """Go on from what lies there, if it is of this training and its checkpoint is left."""
        path, kept = folder / "log.json", {}
        if path.exists() and (folder / CHECKPOINT).exists():
            kept = json.loads(path.read_text())
        if kept.get("fingerprint") != fingerprint:
            kept = {"curve": [], "seconds": 0.0}
        return cls(path, fingerprint, kept["curve"], kept["seconds"], time.process_time())

    @property
    def points(self) -> int:
        return len(self.curve)

    @property
    def seconds(self) -> float:
        """Processor seconds up to now."""
        return self.before + time.process_time() - self.began

    def add(self, share: float, dice: float | None) -> None:
        """Keep a point of the curve (None: only the time), whole or not at all."""
        if dice is not None:
            self.curve.append({"share": round(share, 3), "dice": round(dice, 4)})
        kept = {"fingerprint": self.fingerprint, "curve": self.curve, "seconds": self.seconds}
        fresh = self.path.with_suffix(".new")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(kept))
        fresh.replace(self.path)
