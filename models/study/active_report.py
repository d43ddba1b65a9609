"""What active learning showed: a Markdown table and the curves as a picture."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

Chain = dict[str, Any]


def markdown(results: dict[str, Any]) -> str:
    """Return the table of a set's study: rows are strategies, figures are means over seeds."""
    shares = results["shares"]
    full = list(results["full_dice"].values())
    title = f"**{results['set']}**, {results['method']}, {results['train']} training patches"
    columns = " | ".join(f"{100 * share:g} %" for share in shares)
    lines = [
        f"{title}, {len(full)} seeds; all labels: Dice {spread(full)}.",
        "",
        f"| strategy | {columns} | area under the curve | labels for 95 % |",
        "|---" * (len(shares) + 3) + "|",
    ]
    for strategy, chains in by_strategy(results["chains"]).items():
        dice = [
            spread([chain["points"][index]["dice"] for chain in chains])
            for index in range(len(shares))
        ]
        area = spread([chain["area"] for chain in chains])
        lines.append(f"| {strategy} | {' | '.join(dice)} | {area} | {enough(chains)} |")
    return "\n".join(lines) + "\n"


def by_strategy(chains: Sequence[Chain]) -> dict[str, list[Chain]]:
    by_name: dict[str, list[Chain]] = {}
    for chain in chains:
        by_name.setdefault(chain["strategy"], []).append(chain)
    return by_name


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation."""
    deviation = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{mean(values):.3f}{deviation}"


def enough(chains: Sequence[Chain]) -> str:
    """Mean share of labels of the seeds that got there, and how many did."""
    shares = [chain["enough"] for chain in chains if chain["enough"] is not None]
    if not shares:
        return "never"
    some = f" ({len(shares)} of {len(chains)} seeds)" if len(shares) < len(chains) else ""
    return f"{100 * mean(shares):.1f} %{some}"


def curves(results: dict[str, Any], path: Path) -> None:
    """Draw Dice against the share of labels, one line a strategy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for strategy, chains in by_strategy(results["chains"]).items():
        columns = list(zip(*(chain["points"] for chain in chains), strict=True))
        axes.errorbar(
            [100 * mean(point["share"] for point in column) for column in columns],
            [mean(point["dice"] for point in column) for column in columns],
            [deviation([point["dice"] for point in column]) for column in columns],
            label=strategy,
            capsize=2,
            linewidth=2.4 if strategy == "ours" else 1.2,
        )
    full = mean(results["full_dice"].values())
    axes.axhline(0.95 * full, color="grey", linestyle=":", label="95 % of all labels' Dice")
    axes.set(xlabel="labelled patches, %", ylabel="Dice on held-out groups", title=results["set"])
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150, metadata={"Software": None})


def deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0
