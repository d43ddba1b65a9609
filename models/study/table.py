"""Tables of a study as Markdown: one per set and share of labels, a row a method."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

from models.metrics.differences import paired
from models.study.all_figures import all_figures, of, spread, values
from models.study.contenders import contenders
from models.study.protocol import whole

Run = Mapping[str, Any]
BASELINE = "supervised"
ALL_LABELS = "supervised-100"
"""The baseline where everything is labelled."""
COLUMNS = (
    ("Dice", ("pooled", "dice"), 3),
    ("IoU", ("pooled", "iou"), 3),
    ("Dice, mean of groups", ("per_group", "dice"), 3),
    ("ASD px", ("shape", "mean", "asd"), 2),
    ("HD95 px", ("shape", "mean", "hd95"), 1),
    ("clDice", ("shape", "mean", "cl_dice"), 3),
    ("boundary F1", ("shape", "mean", "boundary_f1"), 3),
)
"""Title, place in a run's evaluation, decimals; shapes are means without penalties."""
COST = {
    "steps": ("steps", 0),
    "updates": ("updates", 0),
    "best at": ("stopped", 2),
    "threshold": ("threshold", 2),
    "CPU s": ("seconds", 0),
}
"""Title, name in a run, decimals. Equal passes are unequal steps, and a step of some methods makes
two updates; `best at` is the share of the training whose weights were judged."""


def markdown(results: Mapping[str, Any], judge: str = "test") -> str:
    """Return the tables of a `results.json`: means ± standard deviations over seeds.

    judge: the patches whose figures are shown, `test` or `validation`. Raises ValueError if no
    training of the file was judged on them. The last column is the difference in Dice to the
    supervised method: the mean over groups with a 95 % interval by Student's t. A second
    table has all figures of eugmt.md §6.3.
    """
    parts = [described(results["protocol"])]
    rows = judged(results["runs"], judge)
    for name, facts in results["sets"].items():
        runs = [run for run in rows if run["set"] == name]
        for share in sorted({run["labelled"] for run in runs}):
            of_share = [run for run in runs if run["labelled"] == share]
            parts.append(section(name, facts, of_share, judge))
            parts.append(all_figures(name, facts, of_share, ordered(methods_of(of_share))))
    return "\n\n".join(parts) + "\n"


def judged(runs: Iterable[Run], judge: str) -> list[Run]:
    """Return the trainings that were judged on some patches, with those figures as `judged`.

    Raises ValueError if there is none.
    """
    chosen: list[Run] = [{**run, "judged": run[judge]} for run in runs if judge in run]
    if not chosen:
        raise ValueError(f"no training was judged on the {judge} patches")
    return chosen


def summary(studies: Sequence[Mapping[str, Any]], judge: str = "test") -> str:
    """Return one table of several `results.json`: Dice of every method, a column a set and share.

    Bold is the best of a column. Raises ValueError if the studies' budgets differ, or as `judged`.
    """
    protocols = [{**whole(study["protocol"]), "strong": ""} for study in studies]
    if any(protocol != protocols[0] for protocol in protocols):
        raise ValueError("the studies have different protocols: they can't stand in one table")
    runs = judged((run for study in studies for run in study["runs"]), judge)
    columns = sorted({(run["set"], run["labelled"]) for run in runs})
    methods = ordered(methods_of(runs))
    dices: dict[tuple[str, float], dict[str, list[float]]] = {column: {} for column in columns}
    for run in runs:
        dices[run["set"], run["labelled"]].setdefault(run["method"], []).append(dice(run))
    best = {column: max(mean(each) for each in dices[column].values()) for column in columns}
    titles = ["method", *(f"{name} {100 * share:g} %" for name, share in columns)]
    lines = [described(protocols[0]), "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for method in methods:
        shown = []
        for column in columns:
            mine = dices[column].get(method, [])
            mark = "**" if mine and mean(mine) == best[column] else ""
            shown.append(f"{mark}{spread(mine, 3)}{mark}")
        lines.append(f"| {method} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def described(protocol: Mapping[str, Any]) -> str:
    network = protocol["network"]
    built = network["architecture"]
    if built in {"unet", "deeplabv3plus"}:
        built += f" with {network['encoder']}"
    return (
        f"{built}, {protocol['passes']:,} image passes for each method, crops of "
        f"{protocol['crop']} px, {protocol['batch_labelled']} + {protocol['batch_unlabelled']} "
        f"images a step, learning rate {protocol['learning_rate']:g}, loss {protocol['loss']}."
    )


def section(name: str, facts: Mapping[str, Any], runs: Sequence[Run], judge: str) -> str:
    """One table. runs: of one set and share."""
    labelled, share = runs[0]["labelled_patches"], runs[0]["labelled"]
    seeds = sorted({run["seed"] for run in runs})
    more = facts.get("unlabelled", 0)
    beside = f"{more} more patches, of the slides in hand, as images alone; " if more else ""
    title = (
        f"**{name}, {100 * share:g} %**: {labelled} of {facts['train']} training patches labelled; "
        f"{beside}"
        f"{facts[judge]} {judge} patches of {len(facts[f'{judge}_groups'])} groups; seeds "
        f"{', '.join(map(str, seeds))}."
    )
    titles = ["method", *(column[0] for column in COLUMNS), *COST, "Δ Dice (95 %)"]
    lines = [title, "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    methods = ordered(methods_of(runs))
    best = max(methods, key=lambda method: mean(dice(run) for run in of(runs, method)))
    for method in methods:
        label = f"**{method}**" if method == best else method
        lines.append(f"| {label} | {' | '.join(cells(of(runs, method), runs))} |")
    return "\n".join(lines)


def cells(mine: Sequence[Run], runs: Sequence[Run]) -> list[str]:
    figures = [spread(values(mine, *path), digits) for _, path, digits in COLUMNS]
    cost = [averaged(mine, name, digits) for name, digits in COST.values()]
    return [*figures, *cost, against(mine, of(runs, BASELINE) or of(runs, ALL_LABELS))]


def averaged(runs: Sequence[Run], name: str, digits: int) -> str:
    """Return the mean over runs of what they cost; a dash where older files have no word for it."""
    costs = [run[name] for run in runs if name in run]
    return f"{mean(costs):.{digits}f}" if costs else "–"


def against(mine: Sequence[Run], theirs: Sequence[Run]) -> str:
    """Return the difference to the baseline on the groups and seeds that both have.

    Seeds of a group are no independent witnesses: they are averaged, and the groups counted.
    """
    other = {(run["seed"], group): d for run in theirs for group, d in groups(run).items()}
    differences: dict[str, list[float]] = {}
    for run in mine:
        for group, ours in groups(run).items():
            if (run["seed"], group) in other:
                differences.setdefault(group, []).append(ours - other[run["seed"], group])
    if not differences or mine[0]["method"] == theirs[0]["method"]:
        return "–"
    of_groups = [mean(each) for each in differences.values()]
    if len(of_groups) == 1:
        return f"{of_groups[0]:+.3f} (–, 1 group)"
    gain = paired(of_groups, [0.0] * len(of_groups))
    return f"{gain.mean:+.3f} ({gain.low:+.3f} … {gain.high:+.3f}; {len(of_groups)} groups)"


def groups(run: Run) -> dict[str, float]:
    return {name: figures["dice"] for name, figures in run["judged"]["groups"].items()}


def dice(run: Run) -> float:
    pooled: float = run["judged"]["pooled"]["dice"]
    return pooled


def methods_of(runs: Iterable[Run]) -> set[str]:
    return {run["method"] for run in runs}


def ordered(methods: Iterable[str]) -> list[str]:
    """Return the baselines, then methods in the order of the contenders, then variants by name."""
    known = [BASELINE, ALL_LABELS, *contenders()]
    return sorted(
        methods, key=lambda name: (known.index(name) if name in known else len(known), name)
    )
