"""Active learning, simulated: in each round a strategy asks for patches and the truth answers.

A chain is one strategy and one seed: the same first patches for all strategies, then up to each
share of the training patches what its strategy asks for, trained anew from the beginning.
"""

import json
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import selection
from models.networks import load_ensemble, place
from models.prediction import Prediction
from models.study import dataset, results, runs
from models.study.contenders import Contender
from models.study.dataset import Dataset, DatasetError, Split
from models.study.files import OptionWrong
from models.study.processes import processes
from models.study.protocol import Protocol, whole
from models.study.runs import Cell
from models.study.strategies import STRATEGIES, Pool
from models.training import Progress, TrainingConfig
from models.whole_file import whole_file

Numbers = npt.NDArray[np.intp]
ENOUGH = 0.95
"""Of the Dice with all labels: how many labels does a strategy need for it?"""


@dataclass(frozen=True)
class Plan:
    """What all chains share. shares: labelled shares of the training patches, ascending.

    judge: the patches whose Dice is the curve, `test` or `validation`.
    """

    contender: Contender
    protocol: Protocol
    shares: tuple[float, ...]
    work: Path
    judge: str = runs.TEST

    def on(self, number: int) -> "Plan":
        """Return the plan for the `number`-th chain: GPUs take turns."""
        device = runs.device_of(self.protocol.device, number)
        return replace(self, protocol=replace(self.protocol, device=device))

    def config(self, seed: int) -> TrainingConfig:
        return runs.configured(Cell(self.contender, 1.0, seed), self.protocol, threads=1)


def chain(plan: Plan, data: Dataset, strategy: str, seed: int) -> dict[str, Any]:
    """Run a strategy from the first share to the last: {"strategy", "seed", "points"}."""
    part = dataset.split(data, seed=plan.protocol.split_seed)
    labelled = dataset.labelled(part, plan.shares[0], seed=seed)
    generator = np.random.default_rng(seed)
    points = []
    for index, count in enumerate(rounds(plan.shares, len(part.train))):
        if index:
            pool, left = look(plan, data, part, labelled, seed)
            asked = STRATEGIES[strategy](pool, count - len(labelled), generator)
            labelled = np.sort(np.concatenate([labelled, left[asked]]))
        dice = learned(plan, data, part, labelled, seed)
        points.append(
            {
                "share": round(len(labelled) / len(part.train), 4),
                "patches": len(labelled),
                "dice": round(dice, 4),
            }
        )
    return {"set": data.name, "strategy": strategy, "seed": seed, "points": points}


def rounds(shares: Sequence[float], patches: int) -> list[int]:
    """Return how many patches are labelled in each round, every time at least one more.

    Raises DatasetError where the patches do not last for all rounds.
    """
    counts = [max(1, round(shares[0] * patches))]
    for share in shares[1:]:
        counts.append(max(counts[-1] + 1, round(share * patches)))
    if counts[-1] > patches:
        raise DatasetError(
            "too_few_patches",
            f"{patches} training patches don't last for {len(counts)} rounds that begin with "
            f"{counts[0]}: name fewer or smaller shares with --labelled.",
        )
    return counts


def folder_of(plan: Plan, data: Dataset, labelled: Numbers, seed: int) -> Path:
    """Return where a training lies: chains that ask for the same patches share it.

    Another method, protocol or set has other folders, whatever file the study is kept in.
    """
    return plan.work / data.name / runs.fingerprint(plan.config(seed), data, labelled)[:16]


def learned(plan: Plan, data: Dataset, part: Split, labelled: Numbers, seed: int) -> float:
    """Train on these labels and return the pooled Dice on the held-out patches; once.

    A chain that asks for a training which another is at waits for it.
    """
    folder = folder_of(plan, data, labelled, seed)
    result = folder / f"{plan.judge}.json"
    with runs.alone(folder, wait=True):
        if not result.exists():
            trained = runs.fit(plan.config(seed), data, part, labelled, folder)
            teacher = place(load_ensemble(trained.path).teacher, plan.protocol.device)
            judged = part.test if plan.judge == runs.TEST else part.validation
            proposed = runs.predict(teacher, data.images[judged])
            with whole_file(result) as fresh:
                fresh.write_text(json.dumps(runs.pooled_dice(proposed, data.truth(judged))))
            (folder / runs.CHECKPOINT).unlink(missing_ok=True)
        dice: float = json.loads(result.read_text())
    return dice


def look(
    plan: Plan, data: Dataset, part: Split, labelled: Numbers, seed: int
) -> tuple[Pool, Numbers]:
    """Let the networks that learned from `labelled` look at the rest: the pool, its patches."""
    left = np.setdiff1d(part.train, labelled)
    ensemble = load_ensemble(folder_of(plan, data, labelled, seed) / "model.safetensors")
    members = np.stack(
        [
            runs.predict(place(network, plan.protocol.device), data.images[left])
            for network in ensemble.networks()
        ]
    )
    opinions = members[1:] if len(members) > 1 else members
    mean = members[0]
    # a labelled patch is known by its mask, another by its proposal
    proposed = (mean >= 0.5).mean((1, 2), dtype=np.float32)
    known = (data.masks[labelled] == dataset.MEMBRANE).mean((1, 2), dtype=np.float32)
    pool = Pool(
        Prediction(mean, opinions >= 0.5),
        members,
        selection.patch_features(list(data.images[left]), proposed),
        selection.patch_features(list(data.images[labelled]), known),
        tuple(data.groups[index] for index in left),
    )
    return pool, left


def study(
    plan: Plan,
    data: Dataset,
    strategies: Sequence[str],
    seeds: int,
    *,
    jobs: int,
    progress: Progress,
) -> dict[str, Any]:
    """Run all chains, `jobs` at a time; killed, it goes on from the trainings that are done."""
    if unknown := sorted(set(strategies) - STRATEGIES.keys()):
        raise OptionWrong(
            "strategy_unknown",
            f"There is no strategy {unknown[0]}; choose from {', '.join(STRATEGIES)}.",
        )
    part = dataset.split(data, seed=plan.protocol.split_seed)
    rounds(plan.shares, len(part.train))
    starts = [dataset.labelled(part, plan.shares[0], seed=seed) for seed in range(seeds)]
    chains = [(strategy, seed) for seed in range(seeds) for strategy in strategies]
    done, of = 0, 2 * seeds + len(chains)
    measured: list[dict[str, Any]] = []
    with runs.alone(plan.work, wait=False), processes(jobs) as pool:
        # what several chains begin with, and the upper bound, before the chains
        first = {
            (kind, seed): pool.submit(learned, plan.on(seed), data, part, labels, seed)
            for seed in range(seeds)
            for kind, labels in (("start", starts[seed]), ("full", part.train))
        }
        for finished in as_completed(first.values()):
            finished.result()
            done += 1
            progress(done, of, {})
        waiting = [
            pool.submit(chain, plan.on(number), data, *each) for number, each in enumerate(chains)
        ]
        for each in as_completed(waiting):
            measured.append(each.result())
            done += 1
            progress(done, of, {})
    full = {seed: first["full", seed].result() for seed in range(seeds)}
    measured.sort(key=lambda each: (strategies.index(each["strategy"]), each["seed"]))
    return {
        **facts(plan, data),
        "full_dice": {str(seed): round(dice, 4) for seed, dice in full.items()},
        "chains": [{**each, **summary(each["points"], full[each["seed"]])} for each in measured],
    }


def facts(plan: Plan, data: Dataset) -> dict[str, Any]:
    """Return what a study is a study of, as JSON types."""
    part = dataset.split(data, seed=plan.protocol.split_seed)
    return {
        "set": data.name,
        "set_sha256": data.sha256(),
        "train": len(part.train),
        "test": len(part.test),
        "method": plan.contender.name,
        "judge": plan.judge,
        "config": runs.meaning(plan.config(seed=0).document()),
        "shares": list(plan.shares),
        "protocol": plan.protocol.document(),
    }


def check_output(
    path: Path, plan: Plan, data: Dataset, strategies: Sequence[str], seeds: int
) -> None:
    """Raise DatasetError if the file is there and is not this very study, or a part of it."""
    if not path.exists():
        return
    document = results.stored(path)
    chains = document.get("chains")
    if not isinstance(chains, list):
        raise DatasetError(
            "results_unreadable",
            f"{path} holds no results of --active; choose another file with -o.",
        )
    # older files say less of a study
    if isinstance(document.get("protocol"), dict):
        document["protocol"] = whole(document["protocol"])
    other = [name for name, fact in facts(plan, data).items() if document.get(name, fact) != fact]
    lost = {(each["strategy"], each["seed"]) for each in chains} - {
        (strategy, seed) for strategy in strategies for seed in range(seeds)
    }
    if other or lost:
        what = f"of another {other[0]}" if other else "of more strategies or seeds"
        raise DatasetError(
            "results_differ", f"{path} is a study {what}; choose another file with -o."
        )


def summary(points: Sequence[dict[str, float]], full: float) -> dict[str, float | None]:
    """Area under the curve, and the share of labels at 95 % of the Dice with all labels.

    The area is over the share, divided by its range: a mean Dice. The share is interpolated
    between two rounds; None where the curve does not get there, or all labels teach nothing.
    """
    shares = np.array([point["share"] for point in points])
    dice = np.array([point["dice"] for point in points])
    area = float(np.trapezoid(dice, shares) / (shares[-1] - shares[0]))
    enough = reached(shares, dice, ENOUGH * full) if full else None
    return {"area": round(area, 4), "enough": enough}


def reached(
    shares: npt.NDArray[np.float64], dice: npt.NDArray[np.float64], wanted: float
) -> float | None:
    above = np.flatnonzero(dice >= wanted)
    if not len(above):
        return None
    last = int(above[0])
    if last == 0:
        return float(shares[0])
    low, high = dice[last - 1], dice[last]
    part = (wanted - low) / (high - low)
    return round(float(shares[last - 1] + part * (shares[last] - shares[last - 1])), 4)
