"""The second table of a set: every figure of eugmt.md §6.3, with how many patches it is of.

Rows are figures and columns methods, as there are more figures than a line can hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

Run = Mapping[str, Any]
OVERLAP = (("Dice", "dice"), ("IoU", "iou"), ("precision", "precision"), ("recall", "recall"))
AVERAGES = (
    ("pooled", "pooled"),
    ("mean of patches", "per_patch"),
    ("mean of groups", "per_group"),
)
LENGTHS = (("ASD", "asd"), ("ASSD", "assd"), ("HD", "hd"), ("HD95", "hd95"))
SHARES = (("clDice", "cl_dice"), ("boundary F1", "boundary_f1"))
COUNTED = (
    ("patches judged", ("per_patch", "n")),
    ("patches of which nothing is known, left out", ("unknown",)),
    ("groups", ("per_group", "n")),
    ("patches with shapes", ("shape", "n")),
    ("both masks empty, no shape", ("shape", "both_empty")),
    ("one mask empty, no shape: in the means with penalty", ("shape", "one_empty")),
)


def all_figures(
    name: str, facts: Mapping[str, Any], runs: Sequence[Run], methods: Sequence[str]
) -> str:
    """Return the table of one set and share. facts: of the set; lengths in µm if it has `mpp`."""
    title = (
        f"{name}, {100 * runs[0]['labelled']:g} %: all figures. A mean with penalty counts a patch "
        "with one empty mask as its diagonal (lengths) or 0 (shares)."
    )
    lines = [
        title,
        "",
        f"| figure | {' | '.join(methods)} |",
        "|---" * (1 + len(methods)) + "|",
    ]
    for label, path, digits, scale in rows(facts.get("mpp")):
        shown = [
            spread([scale * value for value in values(of(runs, method), *path)], digits)
            for method in methods
        ]
        lines.append(f"| {label} | {' | '.join(shown)} |")
    for label, path in COUNTED:
        shown = [number(values(of(runs, method), *path)) for method in methods]
        lines.append(f"| {label} | {' | '.join(shown)} |")
    return "\n".join(lines)


def rows(mpp: float | None) -> list[tuple[str, tuple[str, ...], int, float]]:
    """Return the title, place, decimals and factor of each figure."""
    figures: list[tuple[str, tuple[str, ...], int, float]] = [
        (f"{title}, {average}", (part, key), 3, 1.0)
        for title, key in OVERLAP
        for average, part in AVERAGES
    ]
    for kind, part in (("", "mean"), (", with penalty", "with_penalty")):
        for title, key in LENGTHS:
            figures.append((f"{title} px{kind}", ("shape", part, key), 2, 1.0))
            if mpp:
                figures.append((f"{title} µm{kind}", ("shape", part, key), 2, mpp))
        figures += [(f"{title}{kind}", ("shape", part, key), 3, 1.0) for title, key in SHARES]
    return figures


def values(runs: Iterable[Run], *path: str) -> list[float]:
    """Return a figure of each run that has it: where all masks are empty there is no shape."""
    numbers = []
    for run in runs:
        figures: Any = run["judged"]
        for key in path:
            figures = figures.get(key) if figures is not None else None
        if figures is not None:
            numbers.append(figures)
    return numbers


def spread(figures: Sequence[float], digits: int) -> str:
    """Mean ± standard deviation over seeds."""
    if not figures:
        return "–"
    deviation = f" ± {stdev(figures):.{digits}f}" if len(figures) > 1 else ""
    return f"{mean(figures):.{digits}f}{deviation}"


def number(figures: Sequence[float]) -> str:
    """A count, or its mean where seeds differ."""
    return f"{round(mean(figures), 1):g}" if figures else "–"


def of(runs: Iterable[Run], method: str) -> list[Run]:
    return [run for run in runs if run["method"] == method]
