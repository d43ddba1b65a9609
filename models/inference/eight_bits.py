"""Ranges taken from patches, and what eight bits then cost: every other patch is held out for that.

Kept apart from predicting, which reads frozen ranges and never takes any.
"""

import hashlib
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.inference.calibration import Calibration, Precision
from models.inference.int8 import measured
from models.inference.openvino_backend import OpenVinoPredictor, converted, openvino, request_of
from models.metrics import Counts, compare
from models.networks import NetworkError, load_ensemble
from models.prediction import Prediction

Pixels = npt.NDArray[np.uint8]
PATCHES = 32
"""Of these 16 give the ranges, as in `python -m benchmarks.inference`, and 16 are held out."""
BATCH = 4
TURNS = 5
NARROWED: tuple[Precision, ...] = ("mixed", "int8")


@dataclass(frozen=True)
class Cost:
    """What a precision changes on held-out patches, against f32 of the same backend.

    mask_dice, mask_iou: of the masks; students_iou: of the second opinions. quicker: how many
    times as many patches a second, on this machine and at that moment.
    """

    patches: int
    mask_dice: float
    mask_iou: float
    students_iou: float
    quicker: float

    def __str__(self) -> str:
        return (
            f"masks agree with f32 to a Dice of {self.mask_dice:.4f} (IoU {self.mask_iou:.4f}), "
            f"second opinions to an IoU of {self.students_iou:.4f}, on {self.patches} held-out "
            f"patches; {self.quicker:.2f} times as quick"
        )


def spread(count: int) -> list[int]:
    """Return which of `count` patches are looked at: PATCHES at most, from all over."""
    few = min(count, PATCHES)
    return [number * count // few for number in range(few)]


def frozen(
    path: Path, patches: Pixels, *, threads: int = 0
) -> tuple[Calibration, dict[Precision, Cost]]:
    """Return the ranges of saved weights, and what each narrowed precision costs.

    patches: uint8 (N, 256, 256, 3), like those to come: every other one gives ranges, the rest is
    held out. Raises NetworkError `too_few_patches` for less than two, and what OpenVinoPredictor
    raises.
    """
    if len(patches) < 2:
        raise NetworkError(
            "too_few_patches",
            "Eight bits need two patches at least, one for the ranges and one to see what they "
            f"cost; there {'is one' if len(patches) else 'is none'}.",
        )
    calibration = calibrate(path, learned(patches), threads=threads)
    return calibration, costs(path, calibration, patches[1::2], threads=threads)


def learned(patches: Pixels) -> Pixels:
    """Return those of the patches that give ranges; the others are held out."""
    return patches[::2]


def calibrate(path: Path, patches: Pixels, *, threads: int = 0) -> Calibration:
    """Take the ranges of saved weights from patches, uint8 (N, 256, 256, 3), N ≥ 1."""
    model = converted(load_ensemble(path), (BATCH, *patches.shape[1:3]))
    return Calibration(
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        patches_sha256=names_of(patches),
        openvino=openvino().__version__,
        ranges=measured(model, patches, lambda model: request_of(model, threads)),
    )


def costs(
    path: Path, calibration: Calibration, patches: Pixels, *, threads: int = 0
) -> dict[Precision, Cost]:
    """Return what each narrowed precision costs on patches that gave no ranges."""
    plain = OpenVinoPredictor(path, threads=threads, batch_size=BATCH)
    reference = plain(patches)
    batch = np.resize(patches, (BATCH, *patches.shape[1:]))
    by_precision: dict[Precision, Cost] = {}
    for precision in NARROWED:
        narrow = OpenVinoPredictor(
            path, threads=threads, batch_size=BATCH, precision=precision, calibration=calibration
        )
        by_precision[precision] = cost(reference, narrow(patches), speed(plain, narrow, batch))
    return by_precision


def names_of(patches: Pixels) -> tuple[str, ...]:
    """Return the sha256 of each patch's pixels."""
    return tuple(hashlib.sha256(np.ascontiguousarray(each).data).hexdigest() for each in patches)


def cost(plain: Prediction, narrow: Prediction, quicker: float) -> Cost:
    masks = agreement(narrow.probability >= 0.5, plain.probability >= 0.5)
    students = agreement(narrow.students, plain.students)
    return Cost(
        patches=len(plain.probability),
        mask_dice=round(masks.dice, 5),
        mask_iou=round(masks.iou, 5),
        students_iou=round(students.iou, 5),
        quicker=round(quicker, 2),
    )


def agreement(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> Counts:
    return compare(one, np.where(other, np.uint8(255), np.uint8(0)))


def speed(plain: OpenVinoPredictor, narrow: OpenVinoPredictor, batch: Pixels) -> float:
    """Return how many times as quick the second is: the median of turns that both take."""
    return statistics.median(seconds(plain, batch) / seconds(narrow, batch) for _ in range(TURNS))


def seconds(predictor: OpenVinoPredictor, batch: Pixels) -> float:
    began = time.perf_counter()
    predictor(batch)
    return time.perf_counter() - began
