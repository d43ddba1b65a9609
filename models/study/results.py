"""`results.json`: the protocol, the sets and every finished training, written whole each time."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.presets import TrainingConfig
from models.semisup.method import Options
from models.semisup.methods import METHODS
from models.study import runs
from models.study.dataset import Dataset, DatasetError, labelled, split
from models.study.machine import describe
from models.study.processes import processes
from models.study.protocol import Protocol, whole
from models.study.runs import Cell
from models.training import Progress
from models.whole_file import whole_file

JUDGED = (runs.VALIDATION, runs.TEST)


def which(row: Mapping[str, Any]) -> tuple[str, str, float, int]:
    """Return what tells a training from the others of its file."""
    return row["set"], row["method"], row["labelled"], row["seed"]


def stored(path: Path) -> dict[str, Any]:
    """Read a study's file. Raises DatasetError if there is no document in it."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DatasetError("results_unreadable", f"{path} can't be read: {error}.") from error
    if not isinstance(content, dict):
        raise DatasetError("results_unreadable", f"{path} holds no results of a study.")
    return content


def same(stored: Mapping[str, Any], config: TrainingConfig) -> bool:
    """Return whether a row's configuration is the one of today, but for resources.

    What the row has no word for is newer than it, and stood as it does when nobody turns it.
    """
    today = runs.meaning(config.document())
    known = METHODS.get(config.method)
    untouched = TrainingConfig(options=known.options() if known else Options())
    newer = runs.meaning(untouched.document())
    then = newer | runs.meaning(stored)
    for part in ("options", "network"):
        then[part] = newer[part] | then[part]
    return then == today


class Results:
    """The file of a study: what is in it is not run again."""

    def __init__(self, path: Path, protocol: Protocol) -> None:
        """Open or begin. Raises DatasetError if the file is of another protocol."""
        self.path = path
        document = protocol.document()
        self.content: dict[str, Any] = {"protocol": document, "sets": {}, "runs": []}
        if path.exists():
            self.content = stored(path)
            kinds = {"protocol": dict, "sets": dict, "runs": list}
            if not all(isinstance(self.content.get(name), kind) for name, kind in kinds.items()):
                raise DatasetError(
                    "results_unreadable",
                    f"{path} holds no table of methods; choose another file with -o.",
                )
            self.content["protocol"] = whole(self.content["protocol"])
            if self.content["protocol"] != document:
                raise DatasetError(
                    "results_differ",
                    f"{path} was measured with another protocol; choose another file with -o.",
                )

    def begin(self, data: Dataset, protocol: Protocol) -> None:
        """Name the set and its split. Raises DatasetError if the file knows it otherwise."""
        part = split(data, seed=protocol.split_seed)
        facts = {
            "sha256": data.sha256(),
            "patches": len(data.images),
            "groups": len(set(data.groups)),
            "train": len(part.train),
            "validation": len(part.validation),
            "test": len(part.test),
            "test_groups": sorted({data.groups[index] for index in part.test}),
            "validation_groups": sorted({data.groups[index] for index in part.validation}),
            "positive_share": round(float((data.masks == 255).mean()), 4),
        }
        if len(part.unlabelled):
            facts["unlabelled"] = len(part.unlabelled)
        if data.mpp is not None:
            facts["mpp"] = data.mpp
        known = self.content["sets"].setdefault(data.name, facts)
        if any(facts.get(name, fact) != fact for name, fact in known.items()):
            raise DatasetError(
                "results_differ", f"{self.path} holds results of another set named {data.name}."
            )
        # older files say less of a set
        known |= facts

    def row(self, data: Dataset, cell: Cell) -> dict[str, Any] | None:
        """Return the row of this name, share and seed, whatever it was trained with."""
        wanted = (data.name, cell.contender.name, cell.labelled, cell.seed)
        return next((each for each in self.content["runs"] if which(each) == wanted), None)

    def outdated(self, data: Dataset, protocol: Protocol, cells: Sequence[Cell]) -> list[Cell]:
        """Return the trainings that this version would train otherwise than the file says."""
        part = split(data, seed=protocol.split_seed)
        others = []
        for cell in cells:
            row = self.row(data, cell)
            if row is None:
                continue
            config = runs.configured(cell, protocol, threads=1)
            patches = len(labelled(part, cell.labelled, seed=cell.seed))
            if row["labelled_patches"] != patches or not same(row["config"], config):
                others.append(cell)
        return others

    def add(self, row: dict[str, Any]) -> None:
        """Keep a finished training: on the disk when this returns.

        It replaces a row of the same training, but for how the same weights were judged before.
        """
        rows, added = self.content["runs"], {**row, "measured": describe()}
        for old in [each for each in rows if which(each) == which(row)]:
            rows.remove(old)
            if old["weights_sha256"] == row["weights_sha256"]:
                added = {part: old[part] for part in JUDGED if part in old} | added
        rows.append(added)
        with whole_file(self.path) as fresh, fresh.open("w") as file:
            json.dump(self.content, file, indent=1)


def complete(
    results: Results,
    data: Dataset,
    protocol: Protocol,
    cells: list[Cell],
    work: Path,
    *,
    judge: str = runs.TEST,
    jobs: int,
    progress: Progress,
) -> None:
    """Run what is missing, `jobs` trainings at a time, one thread each. Kill it when you like.

    judge: `test`, or `validation`, which leaves the test patches alone.
    """
    results.begin(data, protocol)
    with runs.alone(work, wait=False):
        again = {cell.key for cell in results.outdated(data, protocol, cells)}
        # what is there but was judged on other patches needs its weights alone
        rows = {cell.key: results.row(data, cell) for cell in cells if cell.key not in again}
        missing = [cell for cell in cells if judge not in (rows.get(cell.key) or {})]
        done = len(cells) - len(missing)
        progress(done, len(cells), {})
        with processes(jobs, receive, data, protocol, judge) as pool:
            waiting = {
                pool.submit(
                    one,
                    cell,
                    work / data.name / cell.key,
                    runs.device_of(protocol.device, number),
                    rows.get(cell.key),
                ): cell
                for number, cell in enumerate(missing)
            }
            for finished in as_completed(waiting):
                results.add(finished.result())
                # until the row is on the disk, a kill costs nothing that is in the checkpoint
                folder = work / data.name / waiting[finished].key
                (folder / runs.CHECKPOINT).unlink(missing_ok=True)
                done += 1
                progress(done, len(cells), {})


SHARED: dict[str, Any] = {}
"""What the processes of a pool are given once, instead of with every training."""


def receive(data: Dataset, protocol: Protocol, judge: str) -> None:
    SHARED.update(data=data, protocol=protocol, judge=judge)


def one(cell: Cell, folder: Path, device: str, known: Mapping[str, Any] | None) -> dict[str, Any]:
    data, judge = SHARED["data"], SHARED["judge"]
    protocol = replace(SHARED["protocol"], device=device)
    row = runs.judged_again(known, data, protocol, folder, judge) if known else None
    return row or runs.run(cell, data, protocol, folder, judge=judge)
