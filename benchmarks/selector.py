"""The selector against cleanlab on the same pixels, in turns, one thread: the ratio of medians.

`python -m benchmarks.selector [--turns 9]`. Goal: ≥ 10 times as quick, with the same pixels.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from cleanlab.filter import find_label_issues

from benchmarks.record import record
from models.semisup import confident, doubt

SEED = 0
TILE = 256 * 256
SIZES = {"tile": TILE, "batch of 6 tiles": 6 * TILE, "shard of 64 tiles": 64 * TILE}
GOAL = 10


def pixels(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A student's labels and a teacher's probabilities: about a fifth membrane, as in tissue."""
    rng = np.random.default_rng(SEED)
    teacher = rng.normal(-2, 2, count)
    labels = teacher + rng.normal(0, 1, count) > 0
    return labels, (1 / (1 + np.exp(-teacher))).astype(np.float32)


def seconds(work: Callable[..., object], *arguments: object) -> tuple[float, np.ndarray]:
    began = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - began, np.asarray(result)


def compare(count: int, turns: int) -> dict[str, Any]:
    labels, probability = pixels(count)
    whole = labels.astype(np.int64)
    columns = np.ascontiguousarray(np.stack([1 - probability, probability], axis=1))
    tensors = torch.from_numpy(labels), torch.from_numpy(probability)

    def by_cleanlab() -> np.ndarray:
        issues: np.ndarray = find_label_issues(whole, columns, filter_by="prune_by_class", n_jobs=1)
        return issues

    times: dict[str, list[float]] = {"cleanlab": [], "numpy": [], "torch": []}
    for _ in range(turns + 1):
        spent, expected = seconds(by_cleanlab)
        times["cleanlab"].append(spent)
        spent, in_numpy = seconds(confident.flagged, labels, probability)
        times["numpy"].append(spent)
        spent, in_torch = seconds(doubt.flagged, *tensors)
        times["torch"].append(spent)
    # the first turn of each warms caches
    median = {name: statistics.median(spent[1:]) for name, spent in times.items()}
    return {
        "pixels": count,
        "flagged": int(expected.sum()),
        "pixels_that_differ": {
            "numpy": int((in_numpy != expected).sum()),
            "torch": int((in_torch != expected).sum()),
        },
        "milliseconds": {name: round(1000 * spent, 2) for name, spent in median.items()},
        "times_as_quick": {
            name: round(median["cleanlab"] / median[name], 1) for name in ("numpy", "torch")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sizes = {name: compare(count, arguments.turns) for name, count in SIZES.items()}
    record(
        "selector",
        {
            "seed": SEED,
            "threads": 1,
            "turns": arguments.turns,
            "sizes": sizes,
            "ratio": min(size["times_as_quick"]["numpy"] for size in sizes.values()),
            "goal": GOAL,
        },
    )


if __name__ == "__main__":
    main()
