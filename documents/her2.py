"""The tables of docs/her2_validation.md, from results that the HER2 benchmarks wrote."""

from typing import Any

from documents.methods_tables import result
from documents.passages import table
from tests.models.her2.test_robustness import GROUPS, POINTS, SCORES

Document = dict[str, Any]
CATEGORIES = ("0", "0+", "1+", "2+", "3+")


def phantoms() -> str:
    """Categories of random phantoms from their true masks, calibrated and not."""
    document = result("her2_phantoms_network")
    parts = {
        "calibrated on the laboratory's controls": document["calibrated"],
        "the protocol's start values": document["start"],
    }
    rows = [
        [
            title,
            f"{scored['right']} of {document['phantoms']} ({100 * scored['share']:.1f} %)",
            interval(scored),
            error(scored, "stained"),
            error(scored, "intense complete"),
            f"{100 * scored['cells']['class_right']:.0f} %",
        ]
        for title, scored in parts.items()
    ]
    titles = [
        "",
        "category right",
        "95 % (Wilson)",
        "stained cells, error in points",
        "intense complete, error in points",
        "matched cells of the very class",
    ]
    calibrated, cells = document["calibrated"], document["calibrated"]["cells"]
    words = (
        f"{sentence(calibrated, 'after calibration')} {sentence(document['start'], 'without')} "
        f"Of {cells['true']:,} true cells {100 * cells['matched'] / cells['true']:.0f} % are found "
        "one to one after calibration.\n\nUltralow read as null (0+ called 0): "
        f"{null(calibrated)} after calibration, {null(document['start'])} without."
    )
    return table(titles, rows) + "\n\n" + words


def null(scored: Document) -> str:
    """How many of the 0+ were called 0."""
    figures = scored["ultralow_read_as_null"]
    low, high = (100 * each for each in figures["wilson_95"])
    return f"{figures['hits']} of {figures['n']} ({low:.1f} … {high:.1f} %)"


def nuclei() -> str:
    """Nuclei of the marked crops by source: the rule against the network, which saw none of it."""
    document = result("nuclei")["marked"]
    rule, small, ours = (document[name] for name in ("rule", "rule, 2.0 and 2.8 µm", "network"))
    rows = [
        [
            source,
            str(each["tumour"]),
            f"{rule[source]['f1']:.2f}",
            f"{small[source]['f1']:.2f}",
            f"{each['f1']:.2f} ({each['recall']:.2f} / {each['precision']:.2f})",
            f"{without(rule[source])} / {without(each)}",
            f"{rule[source]['merged']} / {each['merged']}",
        ]
        for source, each in ours.items()
        if each["tumour"]
    ]
    titles = [
        "source",
        "tumour nuclei",
        "rule, F1",
        "rule with 2.0 and 2.8 µm, F1",
        "network, F1 (recall / precision)",
        "judged cells without a nucleus: rule / network",
        "nuclei under one contour with another: rule / network",
    ]
    return table(titles, rows)


def without(counts: Document) -> str:
    return f"{100 * counts['judged_without_nucleus']:.0f} %" if counts["judged"] else "–"


def phantoms_by_detector() -> str:
    """Categories of the same phantoms with nuclei of the network and of the rule."""
    ours, rule = result("her2_phantoms_network"), result("her2_phantoms")
    count = ours["phantoms"]
    rows = []
    for title, name in (("calibrated", "calibrated"), ("the protocol's start values", "start")):
        wrong = sum(number < count for number, *_ in rule[name]["wrong"])
        classes = f"{100 * ours[name]['cells']['class_right']:.0f} %"
        before = f"{100 * rule[name]['cells']['class_right']:.0f} %"
        rows.append(
            [
                title,
                f"{ours[name]['right']} of {count} ({classes})",
                f"{count - wrong} of {count} ({before})",
            ]
        )
    words = (
        f"Of all its {rule['phantoms']} phantoms the rule had {rule['calibrated']['right']} right "
        f"after calibration and {rule['start']['right']} without."
    )
    titles = ["category right (cells of the very class)", "network", "rule, before"]
    return table(titles, rows) + "\n\n" + words


def other_nuclei() -> str:
    """The same on the open sets of other stains."""
    document = result("nuclei")["open_sets"]
    rows = [
        [
            source.replace("nuclei_", "").replace("_", " "),
            str(each["tumour"]),
            f"{document['rule'][source]['f1']:.2f}",
            f"{each['f1']:.2f} ({each['recall']:.2f} / {each['precision']:.2f})",
        ]
        for source, each in document["network"].items()
    ]
    return table(["set", "nuclei", "rule, F1", "network, F1 (recall / precision)"], rows)


def interval(scored: Document) -> str:
    low, high = scored["wilson_95"]
    return f"{100 * low:.1f} … {100 * high:.1f} %"


def error(scored: Document, name: str) -> str:
    """Mean and standard deviation, computed minus true."""
    figures = scored["percent_error"][name]
    return f"{figures['bias']:+.1f} ± {figures['sd']:.1f}"


def sentence(scored: Document, when: str) -> str:
    """Say which categories the wrong ones are taken for."""
    counted: dict[tuple[str, str], int] = {}
    for _, true, computed in scored["wrong"]:
        counted[true, computed] = counted.get((true, computed), 0) + 1
    pairs = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    words = ", ".join(f"{true} taken for {got} {count}×" for (true, got), count in pairs)
    return f"Errors {when}: {len(scored['wrong'])} ({words})."


def proposed() -> str:
    """The same from the stain rule's masks."""
    document = result("her2_phantoms_cold_start")
    scored = document["start"]
    dice = document["mask_dice"]
    rows = [
        [
            "overlap of the proposed with the true membrane (Dice)",
            f"{dice['mean']:.2f} on average, {dice['least']:.2f} at least",
        ],
        [
            "category right, start values",
            f"{scored['right']} of {document['phantoms']} ({interval(scored)}, Wilson)",
        ],
    ]
    for true, row in scored["confusion"].items():
        got = ", ".join(f"{count} as {category}" for category, count in row.items() if count)
        rows.append([f"of those that are {true}", got])
    rows += [
        ["stained cells, error in points", error(scored, "stained")],
        [
            "calibration refused",
            f"{len(document['calibration_refused'])} of {document['phantoms']}",
        ],
    ]
    return table(["what", "measured"], rows)


def robustness() -> str:
    """How far a change may move a percentage: what the test allows."""
    rows = [
        [change, *("falls" if most == 100 else str(most) for most in points)]
        for change, points in POINTS.items()
    ]
    return (
        table(["change", *GROUPS], rows)
        + f"\n\nOne phantom of each of {', '.join(SCORES)}; the category holds in all "
        f"{len(SCORES) * len(POINTS)} cases."
    )


def real() -> str:
    """Each real image with a category, and how many agree."""
    document = result("her2_real")
    rows = [
        [
            f"`{row['image']}`",
            str(row["mpp"]),
            row["given"],
            row["computed"],
            f"{row['cells']:,}",
            percent(row["percent"]["stained"]),
            percent(row["percent"]["intense_complete"]),
            percent(row["membrane_percent_of_tissue"]),
        ]
        for row in document["images"]
        if row["given"] is not None
    ]
    titles = [
        "image",
        "µm/px",
        "given",
        "computed",
        "cells",
        "stained",
        "intense complete",
        "membrane, of the tissue's area",
    ]
    agreement = document["agreement"]
    return (
        table(titles, rows)
        + f"\n\nOf {agreement['images with a category']} images with a category "
        f"{agreement['same']} are given the same, {agreement['one apart']} one apart, "
        f"{agreement['more apart']} more; "
        "0 and 0+ are one category here, and an image without a pixel size is judged with one."
    )


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g} %" if value < 1 else f"{value:.0f} %"


def controls() -> str:
    """Images that hold no HER2 membrane at all."""
    document = result("her2_real")
    rows = [
        [
            row["image"],
            percent(row["membrane_percent_of_tissue"]),
            str(row["cells"]),
            percent(row["percent"]["stained"]),
            row["computed"],
        ]
        for row in document["images"]
        if row["kind"] in document["controls"]
    ]
    together = document["controls"]["nuclear Ki67"]
    rows.append(
        [
            "all nuclear images",
            "",
            str(together["cells"]),
            f"{together['stained_percent']:.1f} %",
            "",
        ]
    )
    return table(
        ["control", "membrane, of the tissue's area", "cells", "stained", "category"], rows
    )
