"""The tables of "When to stop" in docs/her2_validation.md."""

from typing import Any

from documents.methods_tables import result
from documents.passages import table

Document = dict[str, Any]
READERS = {
    "rule": "the rule's places, until it is met",
    "rule, places at random": "random order, until the same rule is met",
    "at random, as many as the rule": "random order, as many corrections as the rule's reader",
    "reads everything": "reads everything",
    "stops at once": "stops at once",
}


def stopping() -> str:
    """Simulated readers of phantoms: the rule and its rivals, and the interval's coverage."""
    document = result("stopping")
    judge = document["judge"]
    rows = [reader(title, judge["readers"][name], judge) for name, title in READERS.items()]
    titles = [
        "reader",
        "category as drawn",
        "95 % (Wilson)",
        "category as after reading everything",
        "corrections: median (quartiles)",
        "rule not met at the end",
    ]
    return "\n\n".join((table(titles, rows), by_category(judge), chosen(document), covered(judge)))


def reader(title: str, scored: Document, judge: Document) -> list[str]:
    count, spent = judge["phantoms"], scored["corrections"]
    low, high = scored["as_true_wilson_95"]
    first, third = spent["quartiles"]
    return [
        title,
        f"{scored['as_true']} of {count} ({scored['as_true_percent']:.1f} %)",
        f"{low:.1f} … {high:.1f} %",
        f"{scored['as_everything']} of {count} ({scored['as_everything_percent']:.1f} %)",
        f"{spent['median']:g} ({first:g} – {third:g})",
        str(scored["not_met"]) if "not_met" in scored else "–",
    ]


def by_category(judge: Document) -> str:
    parts = [
        f"{score}: {each['corrections']['median']:g}, right {each['as_true_percent']:.0f} %"
        for score, each in judge["by_true_category"].items()
    ]
    places = judge["places"]["median"]
    return (
        f"Of {places:g} places (median) the rule's reader corrects, by the true category "
        f"(median): {'; '.join(parts)}."
    )


def chosen(document: Document) -> str:
    choose, judge = document["choose"], document["judge"]
    tried = [
        f"{float(width):g}: as after reading everything {each['as_everything_percent']:.1f} %, "
        f"as drawn {each['as_true_percent']:.1f} %, {each['corrections']['median']:g} corrections"
        for width, each in choose["by_width"].items()
    ]
    return (
        f"The bank has {document['bank']['phantoms']} phantoms. The width of the draws was chosen "
        f"on {choose['phantoms']} others ({'; '.join(tried)}), and is {judge['width']:g}; "
        f"{judge['phantoms']} further ones judge."
    )


def covered(judge: Document) -> str:
    parts = [
        f"{when} {each['hold_percent']:.1f} % of {each['intervals']}"
        for when, each in judge["coverage"].items()
        if each["hold_percent"] is not None
    ]
    return (
        "Of the 95 % intervals of the tests' shares these hold what reading everything gives: "
        f"{'; '.join(parts)}."
    )
