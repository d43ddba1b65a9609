"""The tables of docs/training.md: intervals, and compiled networks."""

from documents.methods_tables import result, source
from documents.passages import table


def compiled() -> str:
    """What compiling a network gains."""
    rows = []
    for name, figures in result("training_compiled")["results"].items():
        method, network, threads = name.split(", ")
        after = figures["wins_after"]
        rows.append(
            [
                network,
                method,
                threads,
                f"{figures['ratio']:.2f}, {figures['cpu_ratio']:.2f}",
                f"{figures['compiling_cpu_seconds']:.0f}",
                f"{after:,} steps" if after else "never",
                f"{figures['iterations_of_preset']:,}",
            ]
        )
    titles = [
        "network",
        "method",
        "threads",
        "a plain step / a compiled one: time, CPU time",
        "compiling, CPU seconds",
        "pays after",
        "steps of the preset",
    ]
    return table(titles, rows) + "\n\n" + source("training_compiled.json")


def intervals() -> str:
    """How often an interval of a difference holds the truth."""
    document = result("intervals")
    titles = ["groups", *document["held"]]
    row = [
        f"of {document['times']} intervals of {100 * document['nominal']:g} % that hold the truth",
        *(f"{100 * share:.0f} %" for share in document["held"].values()),
    ]
    return table(titles, [row])
