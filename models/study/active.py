"""Active learning, simulated: in each round a strategy asks for patches and the truth answers.

A chain is one strategy and one seed: the same first patches for all strategies, then up to each
share of the training patches what its strategy asks for, trained anew from the beginning.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import selection
from models.networks import load_ensemble, place
from models.prediction import Prediction
from models.study import dataset, runs
from models.study.contenders import Contender, Protocol
from models.study.dataset import Dataset, DatasetError, Split
from models.study.results import end_with_parent
from models.study.runs import Cell
from models.study.strategies import STRATEGIES, Pool
from models.training import Progress

Numbers = npt.NDArray[np.intp]
ENOUGH = 0.95
"""Of the Dice with all labels: how many labels does a strategy need for it?"""


@dataclass(frozen=True)
class Plan:
    """What all chains share. shares: labelled shares of the training patches, ascending."""

    contender: Contender
    protocol: Protocol
    shares: tuple[float, ...]
    work: Path


def chain(plan: Plan, data: Dataset, strategy: str, seed: int) -> dict[str, Any]:
    """Run a strategy from the first share to the last: {"strategy", "seed", "points"}."""
    part = dataset.split(data, seed=plan.protocol.split_seed)
    labelled = dataset.labelled(part, plan.shares[0], seed=seed)
    generator = np.random.default_rng(seed)
    points = []
    for index, share in enumerate(plan.shares):
        if index:
            wanted = max(len(labelled) + 1, round(share * len(part.train))) - len(labelled)
            pool, left = look(plan, data, part, labelled, seed)
            asked = STRATEGIES[strategy](pool, min(wanted, len(left)), generator)
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


def folder_of(plan: Plan, data: Dataset, labelled: Numbers, seed: int) -> Path:
    """Return where a training lies: chains that ask for the same patches share it."""
    asked = hashlib.sha256(json.dumps([seed, labelled.tolist()]).encode()).hexdigest()
    return plan.work / data.name / asked[:16]


def learned(plan: Plan, data: Dataset, part: Split, labelled: Numbers, seed: int) -> float:
    """Train on these labels and return the pooled Dice on the test patches; once."""
    folder = folder_of(plan, data, labelled, seed)
    kept = folder / "dice.json"
    if not kept.exists():
        config = runs.configured(Cell(plan.contender, 1.0, seed), plan.protocol, threads=1)
        trained = runs.fit(config, data, part, labelled, folder)
        teacher = place(load_ensemble(trained.path).teacher, plan.protocol.device)
        found = runs.predict(teacher, data.images[part.test])
        kept.write_text(json.dumps(runs.pooled_dice(found, data.truth(part.test))))
    dice: float = json.loads(kept.read_text())
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
        raise DatasetError(
            "strategy_unknown",
            f"There is no strategy {unknown[0]}; choose from {', '.join(STRATEGIES)}.",
        )
    part = dataset.split(data, seed=plan.protocol.split_seed)
    starts = [dataset.labelled(part, plan.shares[0], seed=seed) for seed in range(seeds)]
    chains = [(strategy, seed) for seed in range(seeds) for strategy in strategies]
    done, of = 0, 2 * seeds + len(chains)
    found: list[dict[str, Any]] = []
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=end_with_parent
    ) as pool:
        try:
            # what several chains begin with, and the upper bound, before the chains
            first = {
                (kind, seed): pool.submit(learned, plan, data, part, labels, seed)
                for seed in range(seeds)
                for kind, labels in (("start", starts[seed]), ("full", part.train))
            }
            for finished in as_completed(first.values()):
                finished.result()
                done += 1
                progress(done, of, {})
            waiting = [pool.submit(chain, plan, data, *each) for each in chains]
            for each in as_completed(waiting):
                found.append(each.result())
                done += 1
                progress(done, of, {})
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    full = {seed: first["full", seed].result() for seed in range(seeds)}
    found.sort(key=lambda each: (strategies.index(each["strategy"]), each["seed"]))
    return {
        "set": data.name,
        "set_sha256": data.sha256(),
        "train": len(part.train),
        "test": len(part.test),
        "method": plan.contender.name,
        "shares": list(plan.shares),
        "full_dice": {str(seed): round(dice, 4) for seed, dice in full.items()},
        "chains": [{**each, **summary(each["points"], full[each["seed"]])} for each in found],
    }


def summary(points: Sequence[dict[str, float]], full: float) -> dict[str, float | None]:
    """Area under the curve, and the share of labels at 95 % of the Dice with all labels.

    The area is over the share, divided by its range: a mean Dice. The share is interpolated
    between two rounds; None where the curve does not get there.
    """
    shares = np.array([point["share"] for point in points])
    dice = np.array([point["dice"] for point in points])
    area = float(np.trapezoid(dice, shares) / (shares[-1] - shares[0]))
    return {"area": round(area, 4), "enough": reached(shares, dice, ENOUGH * full)}


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
