"""Passages of docs/methods.md on frozen features and on doubt."""

from collections.abc import Sequence
from statistics import mean
from typing import Any

from documents.methods_tables import UNLABELLED, result, source
from documents.passages import table
from models.study.all_figures import spread
from models.study.table import dice, judged, methods_of, ordered

FEATURED = ("em", "drive", "dsb", "phantom")
"""Sets of the main table on which the rows with frozen features were measured, too."""


def by_method(studies: Sequence[dict[str, Any]], judge: str) -> dict[str, list[float]]:
    """Return the mean Dice of each method that every study has: a figure a study."""
    means = []
    for study in studies:
        rows = judged(study["runs"], judge)
        means.append(
            {
                method: mean(dice(row) for row in rows if row["method"] == method)
                for method in methods_of(rows)
            }
        )
    whole = set.intersection(*(set(each) for each in means))
    return {method: [each[method] for each in means] for method in ordered(whole)}


def compared(studies: Sequence[dict[str, Any]], titles: Sequence[str]) -> str:
    """Return one table: judged and validation Dice of each study, and the means of both."""
    tests, choices = by_method(studies, "test"), by_method(studies, "validation")
    rows = []
    for method, figures in tests.items():
        shown = [f"{figure:.3f}" for figure in (*figures, mean(figures), mean(choices[method]))]
        rows.append([method, *shown])
    return table(["method", *titles, "mean", "mean on validation groups"], rows)


def with_features() -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Return the main table's rows with those on frozen features, and the draws all rows have."""
    studies, shared = [], []
    for name in FEATURED:
        ours, theirs = result(f"tables/features/{name}"), result(f"tables/validated/{name}")
        runs = [*theirs["runs"], *ours["runs"]]
        draws = set.intersection(
            *({run["seed"] for run in runs if run["method"] == each} for each in methods_of(runs))
        )
        studies.append({**ours, "runs": [run for run in runs if run["seed"] in draws]})
        shared.append(sorted(draws))
    return studies, shared


def features() -> str:
    """Rows with frozen features beside those of the main table, draws that all have."""
    studies, shared = with_features()
    shown = "; ".join(
        f"{name} {', '.join(map(str, seeds))}" for name, seeds in zip(FEATURED, shared, strict=True)
    )
    caption = f"5 % labelled, test groups; draws of every row: {shown}. "
    return "\n\n".join([compared(studies, FEATURED), caption + source("tables/features")])


def verdict() -> str:
    """Which method is best on each set, in words: no figure."""
    tests = by_method(with_features()[0], "test")
    best = [max(tests, key=lambda method: tests[method][number]) for number in range(len(FEATURED))]
    words = ", ".join(f"`{each}` on {name}" for name, each in zip(FEATURED, best, strict=True))
    return (
        "Compared on four sets with a few labelled patches of each, the best row is "
        f"{words}. {of_unlabelled(tests, '', 'On the small U-Net')} "
        f"{of_unlabelled(tests, ON_FEATURES, 'On the one beside frozen ImageNet features')} "
        f"{of_classifiers(tests)}"
    )


ON_FEATURES, CLASSIFIER = "-features", "pixel-classifier"


def of_unlabelled(tests: dict[str, list[float]], ending: str, where: str) -> str:
    """Say which methods that see unlabelled images are above labels alone, on one network."""
    baseline = tests[f"supervised{ending}"]
    above = [
        f"`{method}{ending}`"
        for method in UNLABELLED
        if all(a > b for a, b in zip(tests.get(f"{method}{ending}", [0.0]), baseline, strict=False))
    ]
    named = f"only {' and '.join(above)}" if above else "none"
    return (
        f"{where}, of the methods that learn from unlabelled images {named} "
        f"{'is' if len(above) < 2 else 'are'} above labels alone on every set."
    )


def of_classifiers(tests: dict[str, list[float]]) -> str:
    """Say where the networks are above both pixel classifiers, by what the table shows."""
    rivals = [figures for method, figures in tests.items() if method.startswith(CLASSIFIER)]
    hardest = [max(each) for each in zip(*rivals, strict=True)]
    places = []
    for method in ("supervised", "eugmt-plus"):
        for ending in ("", ON_FEATURES):
            pairs = zip(FEATURED, tests[method + ending], hardest, strict=True)
            above = [name for name, ours, theirs in pairs if round(ours, 3) > round(theirs, 3)]
            places.append(f"`{method}{ending}` on {' and '.join(above) or 'none'}")
    shown = ", ".join(places)
    return f"Above both pixel classifiers: {shown}. Elsewhere a classifier does as well, or better."


def doubt() -> str:
    """Where errors lie, by kind of doubt."""
    document = result("doubt")
    titles = ["", *document["sets"]]
    facts = {
        "errors": "errors_percent",
        "pixels on which the students differ": "students_differ_percent",
        "most errors that 5 % of the pixels can hold": "most_errors_in_5_percent",
        "pixels that the selector flags": "flagged_percent",
    }
    rows = [
        [title, *(f"{each[name]:.2f} %" for each in document["sets"].values())]
        for title, name in facts.items()
    ]
    rows.append(
        [
            "calibration error (ECE)",
            *(f"{each['calibration_error']:.3f}" for each in document["sets"].values()),
        ]
    )
    kinds = next(iter(document["sets"].values()))["kinds"]
    rows += [
        [
            f"`{kind}`: errors in the most doubtful 5 %; AUROC",
            *(located(each["kinds"][kind]) for each in document["sets"].values()),
        ]
        for kind in kinds
    ]
    rows += [
        [f"areas by {by}: {title}", *(met(each["areas"][by]) for each in document["sets"].values())]
        for by, title, met in (
            ("entropy", "share of pixels; of errors", shares_of),
            ("entropy", "error areas met; by the same shapes elsewhere", met_of),
            ("selector", "share of pixels; of errors", shares_of),
            ("selector", "error areas met; by the same shapes elsewhere", met_of),
        )
    ]
    queues = [each["queue"] for each in document["sets"].values()]
    rows.append(["Dice of the patches as proposed", *(f"{each['0']:.3f}" for each in queues)])
    rows += [
        [
            f"Dice with some corrected, chosen by `{strategy}`",
            *(corrected(each, strategy) for each in queues),
        ]
        for strategy in ("random", "foreground", "entropy", "ours", "selector")
    ]
    caption = f"`{document['method']}`, {document['passes']:,} passes, draw {document['seed']}. "
    return "\n\n".join([table(titles, rows), caption + source("doubt.json")])


def corrected(queue: dict[str, Any], strategy: str) -> str:
    return "; ".join(f"{by[strategy]:.3f} ({count})" for count, by in queue.items() if count != "0")


def shares_of(areas: dict[str, float]) -> str:
    return f"{areas['percent']:.1f} %; {areas['errors_percent']:.0f} %"


def met_of(areas: dict[str, float]) -> str:
    return f"{areas['error_areas_met_percent']:.0f} %; {areas['met_elsewhere_percent']:.0f} %"


def located(figures: dict[str, float]) -> str:
    return f"{figures['errors_in_most_doubtful_5_percent']:.0f} %; {figures['auroc']:.2f}"


KINDS, PARTED = (
    ("selector", "entropy", "disagreement"),
    ("students_differ_percent", "flagged_percent"),
)


def students() -> str:
    """What two students of different origin cost, and what they see: validation groups."""
    document = result("students")
    lines = []
    for name, of_set in document["sets"].items():
        for row, draws in of_set.items():
            each = list(draws.values())
            shares = [f"{mean(one[key] for one in each):.2f} %" for key in PARTED]
            kinds = [found_by(each, kind) for kind in KINDS]
            dices = spread([one["dice"] for one in each], 3)
            lines.append([name, row, dices, *shares, *kinds, str(len(each))])
    titles = ["set", "row", "Dice", "students differ", "flagged"]
    titles += [f"{kind}: errors in 5 %; AUROC" for kind in KINDS]
    caption = (
        f"{document['passes']:,} passes; 5 % of the patches labelled, and 12 patches where a row "
        "goes on from the starter. "
    )
    return "\n\n".join([table([*titles, "draws"], lines), caption + source("students.json")])


def found_by(draws: list[dict[str, Any]], kind: str) -> str:
    """Return the share of errors in the most doubtful 5 %, and the AUROC of a kind of doubt."""
    share = mean(each["errors_in_most_doubtful_5_percent"][kind] for each in draws)
    return f"{share:.0f} %; {mean(each['auroc'][kind] for each in draws):.2f}"
