"""A step of the loop against the bare sum of its forwards and backwards, in turns, one process.

`python -m benchmarks.training [--presets … --networks … --threads 1 2 --turns 9]`. The step is
what `train` does: data, losses, selector, exchange, moving average, optimiser. Bare are as many
passes of the same networks on the same shapes: a student's forward with the mean of its logits
as its loss and its backward, the teacher's forward without gradients. Goal: at most 1.15 times it.
Small crops, because that is where whatever does not grow with the networks weighs most.

Data is made by a thread beside the learning one, on a core of its own if there is one: on a busy
machine the ratio of times grows by what they take from each other. `cpu_ratio`, of the CPU time of
the learning thread alone, does not; it is given where that thread does all the work (1 thread).

With `--compile` the same steps of compiled networks take turns with plain ones instead: `ratio` is
of a plain step to a compiled one, and `wins_after` says how many steps pay for compiling.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.record import record
from models.batches import Drawing
from models.networks import NetworkConfig
from models.prefetch import Prefetch
from models.presets import TrainingConfig, preset
from models.training import Run

SEED = 0
GOAL = 1.15
STEPS = 1000
LATE = 900
"""A step at which every preset uses all that it has."""
NETWORKS = {
    "unet-small": NetworkConfig(),
    "unet-resnet18": NetworkConfig("unet", "resnet18"),
}
PRESETS = ("eugmt-plus", "eugmt-paper", "supervised")


def arrays(count: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED)
    images = rng.integers(0, 256, (2 * count, side, side, 3), dtype=np.uint8)
    masks = np.where(rng.random((count, side, side)) < 0.1, 255, 0).astype(np.uint8)
    return images[:count], masks, images[count:]


class Passes:
    """Counts and repeats the passes of a step: by hooks, so that no method need tell them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.calls: list[tuple[nn.Module, Tensor, bool]] = []
        networks = {run.method.teacher, *run.method.students}
        self.hooks = [each.register_forward_pre_hook(self.note) for each in networks]

    def note(self, network: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        learns = torch.is_grad_enabled() and next(network.parameters()).requires_grad
        self.calls.append((network, arguments[0].detach().clone(), learns))

    def stop(self) -> None:
        for hook in self.hooks:
            hook.remove()

    def repeat(self) -> None:
        for network, images, learns in self.calls:
            with torch.set_grad_enabled(learns):
                logits = network(images)
            if learns:
                logits.mean().backward()
        self.run.optimiser.zero_grad(set_to_none=True)


def seconds(work: Callable[[], None]) -> np.ndarray:
    """Return the time that work takes, and the CPU time of this thread."""
    began = np.array([time.perf_counter(), time.thread_time()])
    work()
    spent: np.ndarray = np.array([time.perf_counter(), time.thread_time()]) - began
    return spent


def measure(config: TrainingConfig, turns: int) -> dict[str, Any]:
    images = arrays(16, 256)
    run = Run(config, None)
    run.step = LATE
    passes = Passes(run)
    with Prefetch(lambda step: Drawing(config, *images, step), LATE, STEPS) as batches:
        run.learn(batches.take())
        passes.stop()
        times: dict[str, list[np.ndarray]] = {"step": [], "bare": []}
        for _ in range(turns + 1):
            times["step"].append(seconds(lambda: run.learn(batches.take())))
            times["bare"].append(seconds(passes.repeat))
    # the first turn of each warms caches
    step, bare = (np.array(times[of][1:]) for of in ("step", "bare"))
    # of neighbours in time: what else the machine does weighs on both alike
    ratio, cpu_ratio = np.median(step / bare, axis=0).round(3).tolist()
    return {
        "passes": {
            "with gradients": sum(learns for *_, learns in passes.calls),
            "without": sum(not learns for *_, learns in passes.calls),
        },
        "step_ms": round(1000 * float(np.median(step[:, 0])), 1),
        "bare_ms": round(1000 * float(np.median(bare[:, 0])), 1),
        "ratio": ratio,
    } | ({"cpu_ratio": cpu_ratio} if torch.get_num_threads() == 1 else {})


def measure_compiled(config: TrainingConfig, turns: int) -> dict[str, Any]:
    """Let a plain training and a compiled one take turns from the same step on."""
    images = arrays(16, 256)
    runs = {"plain": Run(config, None), "compiled": Run(replace(config, compile=True), None)}
    assert runs["compiled"].compiled, "there is no compiler"
    times: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    with Prefetch(lambda step: Drawing(config, *images, step), LATE, STEPS) as batches:
        for run in runs.values():
            run.step = LATE
        for turn in range(turns + 2):
            batch = batches.take()
            for name, run in runs.items():
                before = sum(os.times()[:4])
                times[name].append(seconds(partial(run.learn, batch)))
                if turn == 0:
                    compiling = sum(os.times()[:4]) - before
    # the first step compiles, the second warms caches
    plain, quick = (np.array(times[name][2:]) for name in runs)
    ratio, cpu_ratio = np.median(plain / quick, axis=0).round(3).tolist()
    # in CPU time, the compiler's included: it says less of what else the machine did
    gain = float(np.median(plain[:, 1] - quick[:, 1]))
    return {
        "plain_ms": round(1000 * float(np.median(plain[:, 0])), 1),
        "compiled_ms": round(1000 * float(np.median(quick[:, 0])), 1),
        "ratio": ratio,
        "cpu_ratio": cpu_ratio,
        "compiling_cpu_seconds": round(compiling, 1),
        "wins_after": round(compiling / gain) if gain > 0 else None,
        "iterations_of_preset": preset(config.preset).iterations,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--compile", action="store_true", help="plain steps against compiled ones")
    arguments = parser.parse_args()
    results = {}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for network in arguments.networks:
            for name in arguments.presets:
                config = preset(
                    name,
                    network=NETWORKS[network],
                    iterations=STEPS,
                    crop=arguments.crop,
                    batch_labelled=arguments.batch,
                    batch_unlabelled=arguments.batch,
                )
                key = f"{name}, {network}, {threads} threads"
                results[key] = fresh(config, arguments)
                print(key, results[key], flush=True)
    figures = {
        "seed": SEED,
        "turns": arguments.turns,
        "crop": arguments.crop,
        "batch": [arguments.batch, arguments.batch],
        "results": results,
    }
    if arguments.compile:
        record("training_compiled", figures)
        return
    worst = max(result["ratio"] for result in results.values())
    record("training", figures | {"worst_ratio": worst, "goal": GOAL})


def fresh(config: TrainingConfig, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a training; nothing that was compiled before is found again."""
    if not arguments.compile:
        return measure(config, arguments.turns)
    torch.compiler.reset()
    with TemporaryDirectory() as cache:
        # by helpers it would be compiled in a time that nobody tells
        os.environ |= {"TORCHINDUCTOR_CACHE_DIR": cache, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        return measure_compiled(config, arguments.turns)


if __name__ == "__main__":
    main()
