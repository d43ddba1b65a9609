"""One training of a table: from a dataset, a contender and a seed to figures on held-out groups.

Everything it leaves lies in its own folder: killed, it goes on from there. The validation patches
decide which moment's weights are judged and at which threshold (`stopping`), and people choose
between methods by that part of the rows. The test patches decide nothing.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock, Timeout
from torch import nn

from models import distributed, pixel_classifier
from models.augment import normalise
from models.metrics import Counts, compare
from models.metrics.evaluation import evaluate
from models.networks import Ensemble, load_ensemble, place
from models.study import dataset, stopping
from models.study.budget import steps_for
from models.study.contenders import Contender
from models.study.dataset import Dataset, DatasetError, Split
from models.study.protocol import Protocol
from models.training import Progress, Trained, TrainingConfig, Watch, train, unreported, unwatched
from models.whole_file import whole_file

BATCH = 8
CHECKPOINT = "checkpoint.pt"
CHECKPOINTS = 10
WEIGHTS = "judged.safetensors"
"""The weights that are judged, of the moment that the validation patches chose."""
RESOURCES = ("checkpoint_every", "device", "threads")
"""Of a configuration: what it takes to train, not what comes of it."""
VALIDATION, TEST = "validation", "test"
Predictor = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""Membrane probabilities (N, H, W) of RGB images (N, H, W, 3)."""
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
    trial = Trial.of(cell, data, protocol, folder, threads)
    config, part, log = trial.config, trial.part, trial.log
    learned = (
        teach_pixels(trial) if cell.contender.pixels else teach_network(trial, progress=progress)
    )
    if learned is None:
        return {}
    row = {
        "set": data.name,
        "method": cell.contender.name,
        "labelled": cell.labelled,
        "labelled_patches": len(trial.chosen),
        "seed": cell.seed,
        "steps": config.iterations,
        "config": config.document(),
        "weights_sha256": stopping.sha256_of(trial.weights),
        **learned,
        "curve": log.curve,
    }
    predictor = predictor_of(trial.weights, protocol.device)
    for part_name in (VALIDATION, TEST) if judge == TEST else (VALIDATION,):
        patches = part.test if part_name == TEST else part.validation
        row[part_name] = judged_on(predictor, row["threshold"], data, patches)
    log.add(1.0, None)
    return row | {"seconds": round(log.seconds, 1)}


@dataclass(frozen=True)
class Trial:
    """What a training of a table needs: its configuration, patches and place.

    chosen: the training patches that have labels; asked: the validation patches that decide.
    """

    cell: Cell
    config: TrainingConfig
    data: Dataset
    part: Split
    chosen: npt.NDArray[np.intp]
    stopping: str
    folder: Path
    log: "Log"

    @classmethod
    def of(
        cls, cell: Cell, data: Dataset, protocol: Protocol, folder: Path, threads: int
    ) -> "Trial":
        part = dataset.split(data, seed=protocol.split_seed)
        chosen = dataset.labelled(part, cell.labelled, seed=cell.seed)
        config = configured(cell, protocol, threads)
        log = Log.of(folder, fingerprint(config, data, chosen))
        return cls(cell, config, data, part, chosen, protocol.stopping, folder, log)

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS

    @property
    def asked(self) -> npt.NDArray[np.intp]:
        return stopping.asked(self.part.validation)

    def cut(self, probability: npt.NDArray[np.float32]) -> tuple[float, float]:
        """Return the threshold for predictions of the patches asked, and the Dice there."""
        return stopping.cut(probability, self.data.truth(self.asked), self.stopping)


def teach_network(trial: Trial, *, progress: Progress) -> dict[str, Any] | None:
    """Train networks; keep those of the best moment. None in a process that only helps."""
    config, data, log = trial.config, trial.data, trial.log
    images = data.images[trial.asked]
    last = trial.stopping == stopping.LAST

    def watch(step: int, ensemble: Ensemble) -> None:
        if step * stopping.MOMENTS // config.iterations <= log.points:
            return
        threshold, dice = trial.cut(predict(ensemble.teacher, images))
        if last or not log.curve or dice > max(point["dice"] for point in log.curve):
            stopping.keep(ensemble, trial.weights, threshold)
        log.add(step / config.iterations, dice, threshold)

    trained = fit(
        config, data, trial.part, trial.chosen, trial.folder, progress=progress, watch=watch
    )
    if not distributed.joined(config.device).leads:
        return None
    best = log.curve[-1] if last else max(log.curve, key=lambda point: point["dice"])
    return {
        "updates": trained.updates,
        "compiled": trained.compiled,
        "stopped": best["share"],
        "threshold": best["threshold"],
    }


def teach_pixels(trial: Trial) -> dict[str, Any]:
    """Fit a pixel classifier; the validation patches choose its threshold as for every method."""
    data, cell = trial.data, trial.cell
    trial.folder.mkdir(parents=True, exist_ok=True)
    classifier = pixel_classifier.fit(
        cell.contender.pixels, data.images[trial.chosen], data.masks[trial.chosen], seed=cell.seed
    )
    pixel_classifier.save_classifier(classifier, trial.weights)
    threshold, dice = trial.cut(classifier.predict(data.images[trial.asked]))
    trial.log.add(1.0, dice, threshold)
    return {"updates": 0, "compiled": False, "stopped": 1.0, "threshold": threshold}


def predictor_of(path: Path, device: str = "cpu") -> Predictor:
    """Return what a finished training left in a file, as something that predicts."""
    if pixel_classifier.holds_classifier(path):
        return pixel_classifier.load_classifier(path).predict
    return partial(predict, place(load_ensemble(path).teacher, device))


def judged_again(
    row: Mapping[str, Any], data: Dataset, protocol: Protocol, folder: Path, judge: str
) -> dict[str, Any] | None:
    """Return a row judged on other patches, too, by the weights left of it; None without them."""
    weights = folder / WEIGHTS
    if not weights.is_file() or stopping.sha256_of(weights) != row["weights_sha256"]:
        return None
    part = dataset.split(data, seed=protocol.split_seed)
    patches = part.test if judge == TEST else part.validation
    predictor = predictor_of(folder / WEIGHTS, protocol.device)
    return {**row, judge: judged_on(predictor, row["threshold"], data, patches)}


def judged_on(
    predictor: Predictor, threshold: float, data: Dataset, patches: npt.NDArray[np.intp]
) -> dict[str, Any]:
    """Return all figures of what is proposed for some patches."""
    proposals = predictor(data.images[patches]) >= threshold
    groups = [data.groups[index] for index in patches]
    return evaluate(proposals, data.truth(patches), groups, mpp=data.mpp).document()


def configured(cell: Cell, protocol: Protocol, threads: int) -> TrainingConfig:
    """Return the training of a cell, as long as the budget lasts."""
    config = cell.contender.config(protocol, steps=1, seed=cell.seed, threads=threads)
    torch.set_num_threads(threads)
    if cell.contender.pixels:
        return config
    steps = steps_for(protocol.passes, config)
    return replace(config, iterations=steps, checkpoint_every=max(25, steps // CHECKPOINTS))


def meaning(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a training's result depends on, of its configuration as JSON types."""
    return {name: value for name, value in config.items() if name not in RESOURCES}


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
    try:
        with FileLock(folder / "lock", blocking=wait):
            yield
    except Timeout as error:
        raise DatasetError(
            "study_running", f"Another process works in {folder}: wait for it or end it."
        ) from error


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
    """Train on the chosen patches' masks, and on all others that may be seen without theirs."""
    rest = np.concatenate([np.setdiff1d(part.train, chosen), part.unlabelled])
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
    batches = []
    for start in range(0, len(images), BATCH):
        pixels = torch.from_numpy(images[start : start + BATCH]).to(device).permute(0, 3, 1, 2)
        logits = network(normalise(pixels.float() / 255)).float()
        batches.append(torch.sigmoid(logits[:, 1] - logits[:, 0]).cpu().numpy())
    network.train(training)
    return np.concatenate(batches)


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
        path, stored = folder / "log.json", {}
        if path.exists() and (folder / CHECKPOINT).exists():
            stored = json.loads(path.read_text())
        if stored.get("fingerprint") != fingerprint:
            stored = {"curve": [], "seconds": 0.0}
        return cls(path, fingerprint, stored["curve"], stored["seconds"], time.process_time())

    @property
    def points(self) -> int:
        return len(self.curve)

    @property
    def seconds(self) -> float:
        """Processor seconds up to now."""
        return self.before + time.process_time() - self.began

    def add(self, share: float, dice: float | None, threshold: float = 0.5) -> None:
        """Keep a point of the curve (None: only the time), whole or not at all."""
        if dice is not None:
            point = {"share": round(share, 3), "dice": round(dice, 4), "threshold": threshold}
            self.curve.append(point)
        stored = {"fingerprint": self.fingerprint, "curve": self.curve, "seconds": self.seconds}
        with whole_file(self.path) as fresh:
            fresh.write_text(json.dumps(stored))
