"""The tables of docs/starter.md: what the shipped model is worth, from its benchmark and card."""

from pathlib import Path
from typing import Any

from documents.methods_tables import result
from documents.passages import table
from models.starter import shipped

NAMES = {"core3_a": "core 3+", "core1_a": "core 1+", "eze10": "fields 2+, another laboratory"}


def by_source() -> str:
    """One line a row of the benchmark: each source judged by a training that never saw it."""
    document = result("starter")
    titles = ["", *(NAMES[fold] for fold in document["folds"]), "mean", "of empty tissue"]
    lines = [line(name, document) for name in ranked(document)]
    return table(titles, lines)


def ranked(document: dict[str, Any]) -> list[str]:
    """Return the rows, the highest mean Dice first."""
    return sorted(document["rows"], key=lambda name: -document["mean"][name]["dice"])


def line(name: str, document: dict[str, Any]) -> list[str]:
    found = [document["rows"][name][fold]["mean"] for fold in document["folds"]]
    mean = document["mean"][name]
    title = f"**{name}**" if name == shipped().card["row"] else name
    empty = f"{100 * mean['empty_proposed_share']:.2f} %"
    return [title, *map(figures, found), figures(mean), empty]


def figures(found: dict[str, float]) -> str:
    return f"{found['dice']:.3f} / {found['near_dice']:.3f} ({found['dice_without_rules']:.3f})"


def in_detail() -> str:
    """The rows again within two pixels, and with eight views averaged."""
    document = result("starter")
    lines = []
    for name in ranked(document):
        folds = [document["rows"][name][fold] for fold in document["folds"]]
        near = [
            f"{each['mean']['near_precision']:.2f}, {each['mean']['near_recall']:.2f}"
            for each in folds
        ]
        views = [each["mean_of_eight_views"]["dice"] for each in folds if len(each) > 2]
        shown = f"{sum(views) / len(views):.3f}" if views else ""
        both = [each.get("by_two_sources") for each in folds]
        two = [f"{each['dice']:.3f}" if each else "" for each in both]
        chosen = f"{document['validation'][name]['eze10']:.3f}"
        lines.append([name, *near, shown, chosen, ", ".join(filter(None, two))])
    names = (NAMES[fold] for fold in document["folds"])
    return table(["", *names, "mean Dice, 8 views", "chosen by", "by two sources"], lines)


def negatives() -> str:
    """Percent of tissue without membranes that is proposed, by what proposes."""
    document = result("cold_start")
    names = {"starter": "starter", "starter_without_rules": "its networks alone"}
    names |= {"now": "cold start", "before": "cold start, fewer rules"}
    lines = [
        [
            f"{each['kind']} ({Path(each['image']).stem[:12]})",
            *(f"{each[name]:.2f} %" for name in names),
        ]
        for each in document["without_membrane"]
    ]
    return table(["", *names.values()], lines)


def card() -> str:
    """What the card in the package says."""
    found = shipped().card
    facts = [
        ["name", found["name"]],
        ["row of the benchmark", found["row"]],
        ["learned from", f"{found['data']['labelled']}; {found['data']['unlabelled']}"],
        ["synthetic", found["data"]["synthetic"]],
        ["pixels", found["data"]["source"]],
        ["threshold", f"{found['threshold']:.2f}"],
        ["reached", "; ".join(found["reached"])],
        ["limits", " ".join(found["limits"])],
        ["licence", found["licence"]],
        ["weights", f"sha256 `{found['weights_sha256']}`"],
    ]
    return table(["", ""], facts)
