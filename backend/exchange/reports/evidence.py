"""What the score rests on, as rows: classes, the protocol's tests, remarks, where on the slide."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from backend.exchange.reports import words
from backend.exchange.reports.quantities import area, area_as_before, count, day, interval, percent
from backend.her2.classes import CLASS_NAMES
from backend.her2.reports.content import FIRST_SCHEMA, Content, Document

Row = tuple[str, str]


def class_rows(document: Document) -> Iterator[dict[str, str]]:
    for code, name in CLASS_NAMES.items():
        share = document["percent"][code]
        yield {
            "code": code,
            "said": name.capitalize(),
            "colour": words.COLOURS[code],
            "cells": count(document["counts"][code]),
            "percent": percent(share["value"]),
            "interval": interval(share),
        }


def group_rows(document: Document) -> Iterator[dict[str, str]]:
    order = list(words.GROUPS)
    groups = [code for code in document["percent"] if code not in CLASS_NAMES]
    # as a stored document's keys are sorted, and these have an order of their own
    for code in sorted(groups, key=lambda code: order.index(code) if code in order else 99):
        share = document["percent"][code]
        yield {
            "said": words.plain(code, words.GROUPS),
            "percent": percent(share["value"]),
            "interval": interval(share),
        }


def test_rows(document: Document) -> Iterator[dict[str, str]]:
    """The protocol's tests in their order, up to the one that decided."""
    comparator = document["protocol"]["thresholds"]["cut"].split()[0]
    for test in document["distance"]:
        decided = test["test"] == document["reason"]
        sign = comparator if test["test"].endswith("10") and "_le" not in test["test"] else "≥"
        flips = test["cells_to_flip"]
        clustered = test["test"].endswith("_cluster") and document["schema"] != FIRST_SCHEMA
        yield {
            "said": words.plain(test["test"], words.TESTS),
            "score": test["score"],
            "now": f"{count(test['cells_now'])} cells"
            if clustered
            else percent(test["percent_now"]),
            "asked": f"≥ {test['cells_needed']} cells"
            if clustered
            else f"{sign.replace('>=', '≥')} {round(test['threshold'], 2):g} %",
            "met": "met" if test["passed"] else "not met",
            "decided": "yes" if decided else "",
            "flips": f"{count(flips)} fewer" if test["passed"] else f"{count(flips)} more",
        }
        if decided:
            return


def stopping(document: Document) -> dict[str, Any] | None:
    """The rule that says when to stop; None where the document has none of it."""
    stop = document.get("stop")
    if stop is None:
        return None
    return {"text": stop["text"], "rows": list(_stop_rows(stop))}


def _stop_rows(stop: Mapping[str, Any]) -> Iterator[Row]:
    if stop["confidence"] is None:
        yield "Rule to stop", "no category"
        return
    yield "Rule to stop", "met" if stop["met"] else "not met"
    yield (
        "Confidence that the category stands",
        f"{percent(100 * stop['confidence'])}; asked: {percent(100 * stop['enough'])}",
    )
    chances = stop["chances"]
    could = [f"{each} ({percent(100 * chances[each])})" for each in stop["could_become"]]
    yield "Could still become", ", ".join(could) or "nothing else"
    yield "Places left to review for it", count(stop["places_left"])
    yield "Places reviewed", count(stop["places_reviewed"])


def flag_rows(document: Document) -> Iterator[dict[str, str]]:
    first = document["schema"] == FIRST_SCHEMA
    for flag in document["flags"]:
        yield {
            "severity": flag["severity"],
            "grade": flag["severity"] if first else words.SEVERITIES[flag["severity"]],
            "said": words.plain(flag["code"], words.FLAGS),
            "detail": flag["detail"],
        }


def secondary(document: Document) -> Iterator[Row]:
    h = document["h_score"]
    value = "–" if h["value"] is None else f"{h['value']:.0f} ({h['low']:.0f} – {h['high']:.0f})"
    yield "H-score, 0–300", value
    first = document["schema"] == FIRST_SCHEMA
    connected = document["connectivity"]
    label = "Connectivity" if first else "Membrane in long connected lines, 0–1"
    yield label, "–" if connected is None else f"{connected:.2f}"
    density = document["membrane_od"]
    if first:
        yield "Mean membrane density", "–" if density is None else f"{density:.2f} log10 OD"
    else:
        yield (
            "Mean optical density of stained membrane",
            "–" if density is None else f"{density:.2f}",
        )
    # documents from before these were measured say nothing of them
    if "membrane_width_um" in document:
        width, ratio = document["membrane_width_um"], document["membrane_cytoplasm_ratio"]
        yield "Mean width of stained membrane", "–" if width is None else f"{width:.1f} µm"
        yield "Membrane to cytoplasm, of optical density", "–" if ratio is None else f"{ratio:.1f}"


def heterogeneity(document: Document) -> Iterator[Row]:
    clusters = document["heterogeneity"]
    clustered = "present" if clusters["clustered"] else "not identified"
    yield "Clustered heterogeneity", clustered
    if clusters["clustered"]:
        yield "Cells in the 3+ population", percent(clusters["share_3plus"])
        yield "Score of the rest", clusters["rest_score"]
    if clusters["mean_h"] is not None:
        yield "H-score of fields", f"{clusters['mean_h']:.0f} ± {clusters['sd_h']:.0f}"
    if clusters["moran"] is not None:
        alike = f"{clusters['moran']:.2f}".replace("-", "−")
        if document["schema"] == FIRST_SCHEMA:
            yield "Moran's I of fields", alike
        else:
            yield (
                "Neighbouring fields alike (Moran's I)",
                f"{alike}; 0: no more than chance, 1: very",
            )


def region_rows(document: Document) -> Iterator[dict[str, str]]:
    for region in document["regions"]:
        yield {
            "kind": region["kind"]
            if document["schema"] == FIRST_SCHEMA
            else words.plain(region["kind"], words.REGIONS),
            "name": region["name"],
            "area": area(region["area_mm2"])
            if "area_mm2" in region
            else area_as_before(region["area_um2"]),
        }


def field_caption(figure: Mapping[str, Any]) -> str:
    # what reaches over the region's edge is pale in the picture
    part = "" if figure.get("whole", True) else "; only in part inside the region"
    rule = {"highest": "Highest H-score", "middle": "Middle", "lowest": "Lowest H-score"}
    return (
        f"{rule[figure['rule']]}: field scores {figure['score']}, H-score {figure['h_score']:.0f}, "
        f"{figure['cells']} cells{part}"
    )


def gallery_caption(row: Mapping[str, Any], document: Document) -> dict[str, str]:
    code = row["class"]
    return {
        "code": code,
        "said": CLASS_NAMES[code].capitalize(),
        "cells": count(document["counts"][code]),
        "colour": words.COLOURS[code],
    }


def ish(content: Content) -> str:
    """Say what somebody entered of the hybridisation, or that the protocol asks for it."""
    required = content.document["ish_required"]
    if content.ish is None:
        asked = "In situ hybridisation: asked for by the protocol after this category; not entered."
        return asked if required else ""
    entered = content.ish
    numbers = [
        f"{name} {entered[key]:g}"
        for key, name in (
            ("group", "group"),
            ("ratio", "ratio"),
            ("copies", "copies a nucleus"),
            ("cells", "nuclei counted"),
        )
        if entered[key] is not None
    ]
    asked = ", asked for by the protocol," if required else ""
    at = day(datetime.fromisoformat(entered["entered_at"]))
    return (
        f"In situ hybridisation{asked} as entered by {entered['entered_by']['name']}, {at}: "
        f"{', '.join([entered['result'], *numbers])} "
        f"({entered['method']}, read by {entered['read_by']})."
    )


def reason(document: Document) -> str:
    """Return the reason in words; where 0+ is printed as 0, that and the percentage."""
    if document["printed_score"] == document["score"] or document["score"] != "0+":
        return str(document["reason_text"])
    stained = percent(document["percent"]["stained"]["value"])
    return f"{document['reason_text']} Stained: {stained}; category 0+, printed as 0."


def probability_note(document: Document) -> str:
    return (
        f"How often fields drawn anew from this slide would give each category "
        f"({draws(document)}). It says nothing "
        "about staining, scanning or the choice of the region."
    )


def interval_note(document: Document) -> str:
    return (
        f"Intervals: 95 % by drawing anew ({draws(document)}), and never narrower than "
        "Wilson's interval."
    )


def draws(document: Document) -> str:
    unit = {"tiles": "fields"}.get(document["interval"]["drawn"], "cells")
    return f"{count(document['interval']['draws'])} draws of {unit}"


def statement(document: Document) -> str:
    return (
        "The category above was computed by image analysis. Every tumour cell in the marked region "
        "is measured: how much of its membrane is stained, and how strongly; the guideline's table "
        f"({document['protocol']['title']}) is applied to the nine counts in whole numbers. A "
        "pathologist must look at the slide and decide. This report states no diagnosis and gives "
        "no advice on treatment."
    )
