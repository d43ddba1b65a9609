"""The table of docs/rounds.md: how long a person waits for a round, and what it is worth."""

from statistics import mean
from typing import Any

from documents.methods_tables import RESULTS, result, source
from documents.passages import table
from models.study.all_figures import spread

LOOPS = {
    "loop": "as the service comes",
    "loop_short": "300 steps instead of 1,200",
    "loop_features": "`unet-small-features`, from nothing",
    "loop_before": "on two threads, as before",
}


def loop() -> str:
    """Seconds and Dice of the same tenth correction, by settings."""
    there = [name for name in LOOPS if (RESULTS / f"{name}.json").is_file()]
    titles = ["", "to a promoted model, s", "to its first proposal, s", "of a processor, s", "Dice"]
    lines = [[LOOPS[name], *waited(result(name)["runs"])] for name in there]
    seeds = "; ".join(
        f"{LOOPS[name]}: {', '.join(str(run['seed']) for run in result(name)['runs'])}"
        for name in there
    )
    loads = [run["load_average_meanwhile"] for name in there for run in result(name)["runs"]]
    caption = (
        f"Phantoms of these seeds: {seeds}. {result('loop')['machine']['cores']} cores, load "
        f"average {min(loads):g} to {max(loads):g}. "
    )
    files = source(*(f"{name}.json" for name in there))
    return "\n\n".join([table(titles, lines), caption + files])


def waited(runs: list[dict[str, Any]]) -> list[str]:
    """Return the columns of one line: a figure a seed."""

    def of(moment: str, kind: str = "seconds") -> str:
        return ", ".join(
            f"{run['moments'][moment][kind]:.0f}" if moment in run["moments"] else run["state"]
            for run in runs
        )

    dices = [
        f"{run['dice_before']:.3f} → {run['dice_after']:.3f}" if "dice_after" in run else ""
        for run in runs
    ]
    return [
        of("promoted"),
        of("proposed"),
        of("proposed", "processor_seconds"),
        ", ".join(filter(None, dices)),
    ]


def kinds() -> str:
    """What each kind of round comes to on few labelled patches: validation and test groups."""
    cells = result("rounds")["cells"]
    columns = sorted({(each["set"], each["asked"]) for each in cells})
    rows = list(dict.fromkeys(each["row"] for each in cells))
    parts = []
    for title, key in (("validation groups", "validation"), ("test groups", "test")):
        lines = []
        for row in rows:
            shown = [
                spread([each[key] for each in of(cells, row, *column)], 3) for column in columns
            ]
            seconds = [each["processor_seconds"] for each in cells if each["row"] == row]
            lines.append([row, *shown, f"{mean(seconds):.0f}"])
        titles = [f"Dice on {title}", *(f"{name}, {asked}" for name, asked in columns), "CPU s"]
        parts.append(table(titles, lines))
    sizes = []
    for name in dict.fromkeys(name for name, _ in columns):
        mine = [each for each in cells if each["set"] == name and each["labelled"]]
        draws = sorted({each["seed"] for each in mine})
        most = max(each["labelled"] for each in mine)
        sizes.append(f"{name}: at most {most} labelled, draws {', '.join(map(str, draws))}")
    caption = f"Mean ± standard deviation of the draws; {'; '.join(sizes)}. "
    return "\n\n".join([*parts, caption + source("rounds.json")])


def of(cells: list[dict[str, Any]], row: str, name: str, asked: int) -> list[dict[str, Any]]:
    return [
        each for each in cells if (each["row"], each["set"], each["asked"]) == (row, name, asked)
    ]
