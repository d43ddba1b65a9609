"""The tables of docs/methods.md: Dice of methods at equal image passes, from results/tables."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

from documents.passages import table
from models.study.active_report import by_strategy, enough
from models.study.all_figures import of, spread
from models.study.table import BASELINE, dice, judged, methods_of, ordered, summary

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
SETS = ("em", "drive", "dsb", "phantom")
UNLABELLED = ("mean-teacher", "ucmt", "eugmt-paper", "eugmt-plus")
"""Rows of the main table that learn from unlabelled images, too."""
Run = dict[str, Any]


@cache
def result(name: str) -> dict[str, Any]:
    """Read `benchmarks/results/NAME.json`."""
    document: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return document


def studies(folder: str, sets: Sequence[str] = SETS) -> list[dict[str, Any]]:
    return [result(f"{folder}/{name}") for name in sets]


def source(*paths: str) -> str:
    return "Source: " + ", ".join(f"`benchmarks/results/{path}`" for path in paths) + "."


def validated() -> str:
    """The main table, and of how many patches and groups it is."""
    results = studies("tables/validated")
    seeds = sorted({run["seed"] for study in results for run in study["runs"]})
    sizes = []
    for study in results:
        ((name, facts),) = study["sets"].items()
        labelled = sorted({run["labelled_patches"] for run in study["runs"]})
        sizes.append(
            f"{name}: {', '.join(map(str, labelled))} of {facts['train']} patches labelled, judged "
            f"on {facts['test']} patches of {len(facts['test_groups'])} groups"
        )
    return "\n\n".join(
        [
            "Dice on test groups, mean ± standard deviation of draws "
            f"{', '.join(map(str, seeds))}; bold is the best of a column. "
            + summary(results).strip(),
            "; ".join(sizes) + ". " + source("tables/validated"),
        ]
    )


def against_labels() -> str:
    """How much every method is above labels alone, and where at all, in words."""
    means = of_sets("tables/validated")
    names = sorted(means)
    methods = [m for m in ordered({m for by in means.values() for m in by}) if m != BASELINE]
    rows = [
        [method, *(f"{means[name][method] - means[name][BASELINE]:+.3f}" for name in names)]
        for method in methods
    ]
    places = []
    for method in methods:
        above = [
            name for name in names if round(means[name][method] - means[name][BASELINE], 3) > 0
        ]
        places.append(f"`{method}` on {' and '.join(above)}" if above else f"`{method}` nowhere")
    words = f"Above labels alone: {', '.join(places)}."
    return table(["Dice minus that of labels alone", *names], rows) + "\n\n" + words


def of_sets(folder: str, judge: str = "test") -> dict[str, dict[str, float]]:
    """Return the mean Dice of each method on each set of a folder of one share of labels."""
    dices: dict[str, dict[str, float]] = {}
    for study in studies(folder):
        runs = judged(study["runs"], judge)
        ((name, _),) = study["sets"].items()
        dices[name] = {m: mean(dice(run) for run in of(runs, m)) for m in methods_of(runs)}
    return dices


def stops() -> str:
    """When validation kept the weights, what a training is, and where its masks are cut."""
    runs: list[Run] = [run for study in studies("tables/validated") for run in study["runs"]]
    names = list(dict.fromkeys(run["set"] for run in runs))
    rows = []
    for method in ordered(methods_of(runs)):
        mine = of(runs, method)
        stopped = [
            f"{mean(run['stopped'] for run in mine if run['set'] == name):.2f}" for name in names
        ]
        cuts = [run["threshold"] for run in mine]
        rows.append(
            [
                method,
                *stopped,
                f"{min(cuts):.2f} … {max(cuts):.2f}",
                f"{mean(run['steps'] for run in mine):.0f}",
                f"{mean(run['updates'] for run in mine):.0f}",
                f"{mean(run['seconds'] for run in mine):.0f}",
            ]
        )
    titles = [
        "kept at this share of the training",
        *names,
        "thresholds",
        "steps",
        "updates",
        "CPU s",
    ]
    return table(titles, rows)


def views() -> str:
    """The same two methods with everybody's strong views and with their authors' own."""
    common, own = studies("tables"), studies("tables/authors_views")
    rows = []
    for study, theirs in zip(common, own, strict=True):
        for share in sorted({run["labelled"] for run in study["runs"]}):
            shown = []
            for method in ("ucmt", "eugmt-paper"):
                for place, name in ((study, method), (theirs, f"{method}-weak-labelled")):
                    runs = [
                        run for run in judged(place["runs"], "test") if run["labelled"] == share
                    ]
                    shown.append(spread([dice(run) for run in of(runs, name)], 3))
            ((name, _),) = study["sets"].items()
            rows.append([f"{name} {100 * share:g} %", *shown])
    titles = ["", "ucmt", "ucmt, own views", "eugmt-paper", "eugmt-paper, own views"]
    return table(titles, rows) + "\n\n" + source("tables", "tables/authors_views")


def before() -> str:
    """The tables of before validation decided: the last weights, a threshold of 0.5."""
    return summary(studies("tables")) + "\n" + source("tables")


def small() -> str:
    """Every other method, once, at a small budget."""
    return summary([result("tables/small/phantom")]) + "\n" + source("tables/small")


def longer() -> str:
    """Four times the budget on one set."""
    return summary([result("tables/long/em")]) + "\n" + source("tables/long")


def own_slide() -> str:
    """Labels of some slides, judged on another that is in hand without labels."""
    names = sorted(path.stem for path in (RESULTS / "tables" / "own_slide").glob("*.json"))
    results = studies("tables/own_slide", names)
    sizes = []
    for study in results:
        ((name, facts),) = study["sets"].items()
        seeds = len({run["seed"] for run in study["runs"]})
        sizes.append(
            f"{name}: {facts['train']} labelled patches, {facts['unlabelled']} of the slide in "
            f"hand, judged on {facts['test']}, seeds: {seeds}"
        )
    return f"{summary(results)}\n{'; '.join(sizes)}. {source('tables/own_slide')}"


def ablation() -> str:
    """Every switch turned alone, against the row that it changes."""
    runs = judged(result("ablation/em")["runs"], "validation")
    dices = {method: mean(dice(run) for run in of(runs, method)) for method in methods_of(runs)}
    usual = dices["labels-until-half"]
    first = ("supervised", "ucmt", "eugmt-plus")
    order = [*first, *sorted(set(dices) - set(first), key=lambda name: (-dices[name], name))]
    rows = [
        [name, f"{dices[name]:.3f}", "" if name in first else f"{dices[name] - usual:+.3f}"]
        for name in order
    ]
    seeds = sorted({run["seed"] for run in runs})
    return "\n\n".join(
        [
            (
                f"EM, 2 %, {result('ablation/em')['protocol']['passes']:,} passes, Dice on "
                f"validation groups, {len(seeds)} seed: differences are to `labels-until-half`, "
                "which every row changes in one thing."
            ),
            table(["row", "Dice", "difference"], rows),
            source("ablation/em.json"),
        ]
    )


def finalists() -> str:
    """What went on from the ablation, on all sets; settled or not; and for longer."""
    parts = []
    for folder, sets in (("finalists", SETS), ("settled", SETS), ("long", ("em",))):
        shown = summary(studies(f"ablation/{folder}", sets), "validation").strip()
        parts += [f"`ablation/{folder}`: {shown}"]
    return "\n\n".join(parts)


def active() -> str:
    """How many labels each strategy needs, and the area under its curve."""
    places = {
        "em": "active/em",
        "phantom": "active/phantom",
        "phantom, longer": "active/long/phantom",
    }
    by_title = {title: result(path) for title, path in places.items()}
    strategies = list(by_strategy(by_title["em"]["chains"]))
    rows = []
    for strategy in strategies:
        shown = []
        for study in by_title.values():
            chains = by_strategy(study["chains"])[strategy]
            shown += [enough(chains), spread([chain["area"] for chain in chains], 3)]
        rows.append([strategy, *shown])
    titles = ["strategy"]
    for title in by_title:
        titles += [f"{title}: labels for 95 %", "area"]
    words = [
        f"{title}: {study['protocol']['passes']:,} passes, {len(study['full_dice'])} seed(s), all "
        f"labels {spread(list(study['full_dice'].values()), 3)}"
        for title, study in by_title.items()
    ]
    return table(titles, rows) + "\n\n" + "; ".join(words) + ". " + source("active")


def label_audit() -> str:
    """Errors planted into masks and found again, by networks that saw them or not."""
    document = result("label_issues")
    rows = []
    for name, figures in document["sets"].items():
        out, inside = figures["out_of_fold"], figures["network_that_learned_the_same_masks"]
        parts = out["components"]["all"]
        rows.append(
            [
                name,
                str(parts["planted"]),
                f"{parts['recall']:.2f}",
                f"{parts['precision']:.2f}",
                f"{out['component_average_precision']:.2f}",
                f"{inside['component_average_precision']:.2f}",
                f"{out['right_among_as_many_as_planted']:.2f}",
            ]
        )
    titles = [
        "set",
        "errors planted",
        "found",
        "of those shown, right",
        "average precision, out of fold",
        "average precision, in sample",
        "right among as many as were planted",
    ]
    return (
        table(titles, rows)
        + f"\n\nPreset `{document['preset']}`, {document['steps']} steps, seed {document['seed']}. "
        + source("label_issues.json")
    )
