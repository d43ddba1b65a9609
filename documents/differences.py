"""Passage of docs/methods.md on which differences between methods are more than chance."""

from collections.abc import Sequence
from statistics import mean

from documents.learner_tables import FEATURED, with_features
from documents.methods_tables import source
from documents.passages import table
from models.metrics.differences import Difference, holm, paired
from models.study.all_figures import Run, of
from models.study.table import BASELINE, groups, judged, methods_of, ordered

OURS = "eugmt-plus-features"
"""What `membrana train` learns by."""


def differences() -> str:
    """Every method against labels alone, and ours against every other, over test groups."""
    runs: list[Run] = [run for study in with_features()[0] for run in judged(study["runs"], "test")]
    names = ordered(methods_of(runs))
    parts = []
    for title, pairs in (
        (f"minus `{BASELINE}`", [(name, name, BASELINE) for name in names if name != BASELINE]),
        (f"`{OURS}` minus", [(name, OURS, name) for name in names if name != OURS]),
    ):
        by_other = {
            other: paired(of_groups(runs, ours), of_groups(runs, theirs))
            for other, ours, theirs in pairs
        }
        corrected = holm({other: difference.p for other, difference in by_other.items()})
        rows = [[other, *shown(each, corrected[other])] for other, each in by_other.items()]
        parts.append(table([title, "Dice, mean of groups (95 %)", "p", "p by Holm"], rows))
    counts = [
        f"{name} {len({group for run in of_set(runs, name) for group in groups(run)})}"
        for name in FEATURED
    ]
    caption = (
        f"Groups that a difference is the mean of: {', '.join(counts)}; draws are averaged within "
        "each. "
    )
    return "\n\n".join([*parts, caption + source("tables/validated", "tables/features")])


def of_set(runs: Sequence[Run], name: str) -> list[Run]:
    return [run for run in runs if run["set"] == name]


def of_groups(runs: Sequence[Run], method: str) -> list[float]:
    """Return a method's Dice on every group of every set, in one order, mean of its draws."""
    of_each: dict[tuple[str, str], list[float]] = {}
    for run in of(runs, method):
        for group, dice in groups(run).items():
            of_each.setdefault((run["set"], group), []).append(dice)
    return [mean(of_each[each]) for each in sorted(of_each)]


def shown(difference: Difference, corrected: float) -> list[str]:
    interval = f"{difference.mean:+.3f} ({difference.low:+.3f} … {difference.high:+.3f})"
    return [interval, *(f"{p:.3f}" if p >= 0.001 else "< 0.001" for p in (difference.p, corrected))]
