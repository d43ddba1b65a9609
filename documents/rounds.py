"""The tables of docs/rounds.md: how long a person waits for a round, and what it is worth."""

from statistics import mean
from typing import Any

from documents.methods_tables import RESULTS, result, source
from documents.passages import table

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


def first_rounds() -> str:
    """What a first round is worth on the slide in hand, by start, network and length."""
    sets = result("rounds")["sets"]
    rows = list(dict.fromkeys(row for of_set in sets.values() for row in of_set))
    titles = ["", *(f"{name}: validation; test" for name in sets), "processor s"]
    lines = [
        [row, *(judged(of_set.get(row)) for of_set in sets.values()), took(row, sets)]
        for row in rows
    ]
    sizes = "; ".join(
        f"{name} {max(draw['labelled'] for row in of_set.values() for draw in row.values())}"
        for name, of_set in sets.items()
    )
    caption = f"Labelled patches: {sizes}. One draw. "
    return "\n\n".join([table(titles, lines), caption + source("rounds.json")])


def judged(draws: dict[str, dict[str, float]] | None) -> str:
    if not draws:
        return ""
    return "; ".join(
        f"{mean(each[part] for each in draws.values()):.3f}" for part in ("validation", "test")
    )


def took(row: str, sets: dict[str, Any]) -> str:
    draws = [draw for of_set in sets.values() for draw in of_set.get(row, {}).values()]
    return f"{mean(draw['processor_seconds'] for draw in draws):.0f}"


def students() -> str:
    """How far the two students part, by what their origin hangs on."""
    document = result("students")
    titles = ["", "Dice", "students differ", "flagged", "AUROC: selector; entropy", "processor s"]
    lines = []
    for name, of_set in document["sets"].items():
        for row, found in of_set.items():
            auroc = found["auroc"]
            lines.append(
                [
                    f"{name}: {row}",
                    f"{found['dice']:.3f}",
                    f"{found['students_differ_percent']:.2f} %",
                    f"{found['flagged_percent']:.2f} %",
                    f"{auroc['selector']:.2f}; {auroc['entropy']:.2f}",
                    f"{found['processor_seconds']:.0f}",
                ]
            )
    caption = f"{document['passes']:,} passes, draw {document['seed']}, validation groups. "
    return "\n\n".join([table(titles, lines), caption + source("students.json")])
