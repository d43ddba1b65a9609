"""The tables of docs/her2_validation.md on single cells: judged by eye, and cells that are none."""

from documents.methods_tables import result
from documents.passages import table

SOURCES = ("all", "stained sources", "core1_a", "core3_a", "eze10")


def judged_cells() -> str:
    """Agreement with the eye: κ of completeness and of intensity, by source."""
    document = result("judged_cells")
    rows = []
    for way, figures in document.items():
        if not isinstance(figures, dict) or "judged" not in figures:
            continue
        without = f"{figures['without_nucleus']} of {figures['judged']}"
        for limits in ("start values", "other sources"):
            by = figures[limits]
            kappas = (
                f"{by[name]['completeness']['kappa']:.2f} / {by[name]['intensity']['kappa']:.2f}"
                for name in SOURCES
            )
            rows.append([way, limits, without, *kappas])
    return table(["masks, nuclei", "limits", "without a nucleus", *SOURCES], rows)


def false_cells() -> str:
    """Detected cells that no mark is near, by source."""
    document = result("false_cells")
    rule, network = document["rule"], document["network"]
    places = [name for name in network["all"] if " " in name]
    rows = [
        [
            source,
            f"{ours['tumour']}",
            f"{ours['other']}",
            f"{rule[source]['false_per_mm2']:,.0f}",
            f"{ours['false_per_mm2']:,.0f}",
            *(str(ours[place]) for place in places),
        ]
        for source, ours in network.items()
    ]
    titles = [
        "source",
        "tumour nuclei that count",
        "other nuclei that count",
        "false per mm², rule",
        "false per mm², network",
        *(f"network: {place}" for place in places),
    ]
    tried = document["not_a_cell"]
    words = "; ".join(
        f"{name}, limit at {100 * each['loss_on_others']:.1f} % of the others: "
        f"{each['tumour_lost']} of {tried['tumour']} tumour nuclei and {each['false_removed']} of "
        f"{tried['false']} false cells gone"
        for name, title in (("too pale", "pale"), ("forest", "forest"))
        for each in tried[title][:1]
    )
    return table(titles, rows) + f"\n\nOn sources left out — {words}."
