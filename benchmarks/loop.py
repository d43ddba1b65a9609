"""How long a person waits: seconds from the tenth correction to a promoted model and its proposals.

`python -m benchmarks.loop [--seeds 1 2 3] [--side 3072] [--set MEMBRANA_NAME=value …]`. The service
as `membrana up` runs it with its defaults, on this machine's cores; three phantom slides, and a
person who corrects with their truth what the queue shows. What is corrected on the third slide is
held out, as the service decides: until the verdict has what it needs. The tenth correction that is
learned from starts the round by itself. Its save is second 0. A new proposal is there when the
queue hands out a patch with the promoted version's and its picture is sent: what the browser needs
to draw it is not in here. Goal: 120 s.

The Dice that it buys is pooled over all patches that nobody touched, before with the version that
proposed at first. Seconds of processors are those of all the service's processes: where others work
on the machine they say what the seconds on the clock would be. A seed that is in the result file,
of the same settings and slides, is not measured again.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil

from benchmarks.record import RESULTS, record
from models.phantom import PhantomSpec, write
from tests.support.installation import Installation, embedded, until
from tests.support.pathologist import Pathologist, idle, ingested, patches_of, upload

GOAL_S = 120.0
SLIDES = 3
HELD_OUT, LEARNED = 5, 10
"""Masks that count of the third slide, which the service holds out whole; and of the first two."""
ENDED = {"promoted", "kept_back", "not_judged", "abandoned"}
LOOK_S = 0.1


@dataclass
class Watch:
    """Seconds of the clock since it was made, and of the processors of an installation's processes.

    A process that ends takes its seconds along: what it had when it was last looked at counts.
    """

    installation: Installation
    begun: float = field(default_factory=time.perf_counter)
    worked: dict[tuple[int, float], float] = field(default_factory=dict)
    before: float = 0.0

    def __post_init__(self) -> None:
        self.before = self.processor_seconds()

    def processor_seconds(self) -> float:
        (up,) = self.installation.processes.values()
        for process in (parent := psutil.Process(up.pid), *parent.children(recursive=True)):
            try:
                spent = process.cpu_times()
                self.worked[process.pid, process.create_time()] = spent.user + spent.system
            except psutil.NoSuchProcess:
                continue
        return sum(self.worked.values())

    def now(self) -> dict[str, float]:
        return {
            "seconds": round(time.perf_counter() - self.begun, 1),
            "processor_seconds": round(self.processor_seconds() - self.before, 1),
        }


def uploaded(client: httpx.Client, seed: int, side: int, folder: Path) -> list[Pathologist]:
    """Bring the slides in; return who knows the truth of each."""
    pathologists = []
    for number in range(SLIDES):
        path = folder / f"phantom-{seed}-{number}.tif"
        spec = PhantomSpec(width=side, height=side, seed=10 * seed + number)
        truth = path.with_suffix(".truth.tif")
        write(spec, path, truth)
        slide = ingested(client, str(upload(client, path)["id"]), "ready")
        pathologists.append(Pathologist(client, str(slide["id"]), truth))
    idle(client)
    return pathologists


def gold_that_counts(client: httpx.Client) -> int:
    """Return how many held-out masks could judge a model: none that is a proposal, as it was."""
    return int(client.get("/rounds").raise_for_status().json()["gold_counted"])


def dice(pathologists: list[Pathologist], version: str, touched: set[str]) -> float:
    """Pooled over what nobody touched of all slides; mean of the slides' pooled figures."""
    of_slides = [
        each.dice(
            version, [p for p in patches_of(each.client, each.slide_id) if p["id"] not in touched]
        )
        for each in pathologists
    ]
    return round(sum(of_slides) / len(of_slides), 4)


def measured(seed: int, side: int, folder: Path, settings: dict[str, str]) -> dict[str, Any]:
    """Install, correct, and watch what follows the tenth correction that is learned from."""
    chosen = {"MEMBRANA_FIRST_MODEL": "starter", **settings}
    with (
        embedded(folder / "data", **chosen).running() as installation,
        installation.client() as client,
    ):
        first, second, third = pathologists = uploaded(client, seed, side, folder)
        touched = first.correct(1) | second.correct(1)
        while gold_that_counts(client) < HELD_OUT:
            touched |= third.correct(1)
        touched |= second.correct(LEARNED // 2 - 1) | first.correct(LEARNED // 2 - 1)
        watch, moments = Watch(installation), dict[str, dict[str, float]]()
        (row,) = client.get("/rounds").raise_for_status().json()["items"]
        assert row["training_count"] == LEARNED, row
        begun_from = row["parent_model_version_id"]

        def ended() -> Any:
            time.sleep(LOOK_S)
            round_ = client.get(f"/rounds/{row['id']}").raise_for_status().json()
            moments.setdefault(round_["state"], watch.now())
            return round_ if round_["state"] in ENDED else None

        done = until(ended, "the round to end")
        result: dict[str, Any] = {
            "seed": seed,
            "state": done["state"],
            "reason": done["reason"],
            "held_out": row["gold_count"],
            "moments": moments,
        }
        if done["state"] != "promoted":
            return result
        promoted = str(done["model_version_id"])

        def proposed() -> bool:
            """Look at the patch in hand as the page does: the slide's next one."""
            shown = client.get("/queue/next", params={"slide_id": first.slide_id})
            patch = shown.raise_for_status().json()["patch"]
            if patch["model_version_id"] != promoted:
                time.sleep(LOOK_S)
                return False
            client.get(f"/patches/{patch['id']}/proposal.png").raise_for_status()
            return True

        until(proposed, "a new proposal")
        moments["proposed"] = watch.now()
        idle(client)
        moments["all slides proposed anew"] = watch.now()
        return result | {
            "patches": sum(len(patches_of(client, each.slide_id)) for each in pathologists),
            "dice_before": dice(pathologists, begun_from, set(touched)),
            "dice_after": dice(pathologists, promoted, set(touched)),
            "gold": {
                name: done["metrics"]["gold"][name]["dice"] for name in ("active", "candidate")
            },
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--side", type=int, default=3072)
    parser.add_argument("--set", nargs="*", default=[], metavar="MEMBRANA_NAME=value")
    parser.add_argument("--name", default="loop", help="of the result file")
    arguments = parser.parse_args()
    settings = dict(each.split("=", 1) for each in arguments.set)
    stored = RESULTS / f"{arguments.name}.json"
    before = json.loads(stored.read_text()) if stored.is_file() else {}
    same = (before.get("settings"), before.get("side_px")) == (settings, arguments.side)
    runs = before["runs"] if same else []
    for seed in arguments.seeds:
        if any(run["seed"] == seed for run in runs):
            continue
        with TemporaryDirectory() as folder:
            runs.append(measured(seed, arguments.side, Path(folder), settings))
        runs[-1]["load_average_meanwhile"] = round(os.getloadavg()[0], 1)
        proposed = [run["moments"].get("proposed", {}).get("seconds") for run in runs]
        record(
            arguments.name,
            {
                "goal_seconds": GOAL_S,
                "goal_met": all(each is not None and each <= GOAL_S for each in proposed),
                "settings": settings,
                "side_px": arguments.side,
                "runs": runs,
            },
        )


if __name__ == "__main__":
    main()
