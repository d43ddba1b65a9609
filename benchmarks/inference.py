"""Backends for inference: how many times quicker than eager torch, and are the masks the same?

`python -m benchmarks.inference [--networks unet-small unet deeplabv3plus] [--threads 2 1]
[--turns 7] [--weights DIR]`. All contenders take turns in one process on the same batch of four
patches, teacher and two students each; a ratio is of one turn, the median of the turns counts.

`eager` is what a torch user writes: the three networks one after the other on NCHW tensors, in
inference mode. `torch` is our torch backend (channels-last). Masks are compared on phantom patches
that the networks did not learn from; they are trained here first, as an untrained network's masks
are noise. Goal: 2x eager at a mask IoU of 0.999.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.record import record
from models.inference import TorchPredictor
from models.inference.calibration import Precision
from models.inference.eight_bits import calibrate
from models.inference.ensemble import Opinions
from models.inference.openvino_backend import OpenVinoPredictor
from models.metrics import Counts, compare
from models.networks import Ensemble, NetworkConfig, build, load_ensemble, save_ensemble
from models.phantom import PhantomSpec
from models.phantom.patches import SLIDE_PX, tissue_patches
from models.prediction import PATCH_PX, Prediction, Predictor
from models.training import preset, train

BATCH = 4
SEED = 11
LEARNED, CALIBRATED, HELD_OUT = 24, 16, 24
"""Patches of three slides: for training, for the ranges of eight bits, for the comparison."""
STRAY = 0.02
"""How far the students' weights are from the teacher's, in units of an ordinary weight."""
GOAL, SAME = 2.0, 0.999
CONFIGS = {
    "unet-small": NetworkConfig(),
    "unet": NetworkConfig("unet", "resnet34"),
    "deeplabv3plus": NetworkConfig("deeplabv3plus", "resnet50"),
}
STEPS = {"unet-small": 300, "unet": 100, "deeplabv3plus": 100}
PRECISIONS: tuple[Precision, ...] = ("f32", "mixed", "int8")

Sample = tuple[np.ndarray, np.ndarray]
"""Patches and their masks."""


def patches(number: int, count: int) -> Sample:
    spec = PhantomSpec(width=SLIDE_PX, height=SLIDE_PX, seed=SEED + number, her2="2+", tumour=0.9)
    images, masks = zip(*tissue_patches(spec, count), strict=True)
    return np.array(images), np.array(masks)


def trained(name: str, images: np.ndarray, masks: np.ndarray, path: Path) -> None:
    """Train one network and save it as the teacher, with two students a little off it."""
    config = preset(
        "supervised",
        network=CONFIGS[name],
        iterations=STEPS[name],
        crop=128 if name == "unet-small" else 64,
        batch_labelled=4 if name == "unet-small" else 8,
        seed=SEED,
    )
    with TemporaryDirectory() as folder:
        teacher = load_ensemble(train(config, images, masks, images, workdir=Path(folder)).path)
    generator = torch.Generator().manual_seed(SEED)

    def alike() -> nn.Module:
        student = build(CONFIGS[name])
        student.load_state_dict(teacher.teacher.state_dict())
        with torch.no_grad():
            for weights in student.parameters():
                stray = torch.randn(weights.shape, generator=generator)
                weights.add_(STRAY * weights.abs().mean() * stray)
        return student

    save_ensemble(Ensemble(CONFIGS[name], teacher.teacher, (alike(), alike())), path)


class Eager:
    """The ensemble as plain torch runs it: weights and pixels in torch's usual layout."""

    batch_size = BATCH
    backend = "eager torch"

    def __init__(self, path: Path) -> None:
        self.opinions = Opinions(load_ensemble(path), "cpu").to(
            memory_format=torch.contiguous_format
        )

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> Prediction:
        pixels = self.opinions.prepared(torch.from_numpy(images)).contiguous()
        teacher, *students = [network(pixels) for network in self.opinions.networks]
        return Prediction(
            teacher.softmax(1)[:, 1].numpy(),
            torch.stack([student.argmax(1) == 1 for student in students]).numpy(),
        )


def contenders(path: Path, threads: int, patches: np.ndarray) -> dict[str, Predictor]:
    """Load every contender; torch's threads are set for all of them."""
    torch.set_num_threads(threads)
    calibration = calibrate(path, patches, threads=threads)
    predictors: dict[str, Predictor] = {"eager": Eager(path), "torch": TorchPredictor(path)}
    for precision in PRECISIONS:
        predictors[f"openvino {precision}"] = OpenVinoPredictor(
            path, threads=threads, precision=precision, calibration=calibration
        )
    return predictors


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ratios(
    runners: dict[str, Predictor], batch: np.ndarray, turns: int
) -> dict[str, dict[str, float]]:
    """Let all take turns; eager stands before and after each of the others."""
    for runner in runners.values():
        runner(batch)
    eager = runners["eager"]
    took: dict[str, list[float]] = {name: [] for name in runners}
    quicker: dict[str, list[float]] = {name: [] for name in runners if name != "eager"}
    for _ in range(turns):
        before = seconds(lambda: eager(batch))
        for name, ratios_so_far in quicker.items():
            took[name].append(seconds(partial(runners[name], batch)))
            after = seconds(lambda: eager(batch))
            ratios_so_far.append((before + after) / 2 / took[name][-1])
            took["eager"].append(before)
            before = after
    return {
        name: {
            "patches_per_second": round(BATCH / statistics.median(took[name]), 2),
            "best_patches_per_second": round(BATCH / min(took[name]), 2),
        }
        | ({"ratio": round(statistics.median(quicker[name]), 2)} if name in quicker else {})
        for name in took
    }


def all_of(predictor: Predictor, images: np.ndarray) -> Prediction:
    parts = [predictor(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return Prediction(
        np.concatenate([part.probability for part in parts]),
        np.concatenate([part.students for part in parts], axis=1),
    )


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def agreement(
    runners: dict[str, Predictor], images: np.ndarray, masks: np.ndarray
) -> dict[str, dict[str, float]]:
    """Compare masks with eager torch's and with the truth."""
    plain = all_of(runners["eager"], images)
    figures = {}
    for name, runner in runners.items():
        prediction = all_of(runner, images)
        counts = Counts()
        for probability, mask in zip(prediction.probability, masks, strict=True):
            counts += compare(probability >= 0.5, mask)
        figures[name] = {
            "mask_iou": round(overlap(prediction.probability >= 0.5, plain.probability >= 0.5), 5),
            "students_iou": round(overlap(prediction.students, plain.students), 5),
            "largest_difference": float(
                f"{np.abs(prediction.probability - plain.probability).max():.2g}"
            ),
            "dice": round(counts.dice, 4),
        }
    return figures


def work_of(path: Path) -> float:
    """Return GFLOP of one patch through all three networks; a multiplication and an addition: 2."""
    pixels = torch.zeros(1, 3, PATCH_PX, PATCH_PX)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        for network in load_ensemble(path).networks():
            network.eval()(pixels)
    flops: int = counter.get_total_flops()
    return flops / 1e9


def ceiling(threads: int) -> float:
    """Return GFLOP/s of the best of some large matrix products: what f32 can hope for."""
    torch.set_num_threads(threads)
    side = 1536
    one, other = torch.randn(2, side, side)
    return 2 * side**3 / min(seconds(lambda: one @ other) for _ in range(12)) / 1e9


def measured(
    name: str, path: Path, arguments: argparse.Namespace, calibration: Sample, held_out: Sample
) -> dict[str, Any]:
    work = work_of(path)
    result: dict[str, Any] = {"network": name, "gflop_per_patch": round(work, 2)}
    for threads in arguments.threads:
        runners = contenders(path, threads, calibration[0])
        if "masks" not in result:
            result["masks"] = agreement(runners, *held_out)
        speeds = ratios(runners, held_out[0][:BATCH], arguments.turns)
        peak = ceiling(threads)
        for each in speeds.values():
            each["gflop_per_second"] = round(each["best_patches_per_second"] * work, 1)
        result[f"threads {threads}"] = {"matrix_product_gflop_per_second": round(peak, 1), **speeds}
        for contender, each in speeds.items():
            print(f"{name:14} {threads} threads  {contender:15} {each}", flush=True)
    for contender, each in result["masks"].items():
        print(f"{name:14} {contender:15} {each}", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(CONFIGS), choices=list(CONFIGS))
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--weights", type=Path, help="where trained weights are kept, or found")
    arguments = parser.parse_args()
    learned, calibration, held_out = (
        patches(number, count) for number, count in enumerate((LEARNED, CALIBRATED, HELD_OUT))
    )
    results = []
    with TemporaryDirectory() as name:
        folder = arguments.weights or Path(name)
        folder.mkdir(exist_ok=True)
        for network in arguments.networks:
            path = folder / f"{network}.safetensors"
            if not path.exists():
                torch.set_num_threads(1)
                trained(network, *learned, path)
            results.append(measured(network, path, arguments, calibration, held_out))
    record(
        "inference",
        {
            "batch": BATCH,
            "turns": arguments.turns,
            "patches": {"learned": LEARNED, "calibrated": CALIBRATED, "compared": HELD_OUT},
            "training_steps": STEPS,
            "seed": SEED,
            "goal": {"ratio": GOAL, "mask_iou": SAME},
            "results": results,
        },
    )


if __name__ == "__main__":
    main()
