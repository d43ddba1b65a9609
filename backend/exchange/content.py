"""What a report says, in the words and numbers that PDF and HTML lay out alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backend.exchange import words
from backend.exchange.drawings import Picture

Row = tuple[str, str]
Document = Mapping[str, Any]
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Signature:
    """A person's own category, with what they signed it as; `reason` why it differs, if it does."""

    name: str
    at: datetime
    meaning: str
    score: str
    comment: str
    reason: str
    sha256: str


@dataclass(frozen=True)
class Edit:
    """A person's decision on one cell: its class before and after; None: left out."""

    cell: int
    before: str
    after: str | None
    by: str
    at: datetime
    reason: str


@dataclass(frozen=True)
class Version:
    """A report of the same chain of amendments."""

    id: str
    number: int
    state: str
    score: str | None
    at: datetime


@dataclass(frozen=True)
class Content:
    """All that a report is made from. `document`: schema membrana.her2/1 with its provenance.

    `urn` stands in every export, so that a file can be traced back and checked.
    """

    urn: str
    version: int
    state: str
    made_at: datetime
    made_by: str
    slide: Mapping[str, Any]
    assay: Mapping[str, Any]
    document: Document
    document_sha256: str
    figures: Mapping[str, Any]
    picture: Picture
    signature: Signature | None = None
    edits: Sequence[Edit] = ()
    amends: str | None = None
    amendment_reason: str = ""
    history: Sequence[Version] = field(default=())

    @property
    def dated(self) -> datetime:
        return self.signature.at if self.signature else self.made_at

    @property
    def case(self) -> str:
        return self.slide["case_id"] or NOT_STATED


def printed(content: Content) -> dict[str, Any]:
    """Return every text of the report, ready to be laid out; figures are made apart."""
    document = content.document
    return {
        "research_use_only": words.RESEARCH_USE_ONLY,
        "product": words.PRODUCT,
        "urn": content.urn,
        "title": "HER2 immunohistochemistry: image analysis report",
        "case": content.case,
        "dated": day(content.dated),
        "version": content.version,
        "status": status(content),
        "signed": content.signature is not None,
        "computed": {
            "score": document["printed_score"],
            "colour": words.SCORE_COLOURS[document["score"]],
            "reason": document["reason_text"],
        },
        "final": final(content.signature),
        "facts": list(facts(content)),
        "ish": ish(document),
        "probability_note": probability_note(document),
        "interval_note": interval_note(document),
        "classes": list(class_rows(document)),
        "groups": list(group_rows(document)),
        "tests": list(test_rows(document)),
        "flags": list(flag_rows(document)),
        "secondary": list(secondary(document)),
        "heterogeneity": list(heterogeneity(document)),
        "regions": list(region_rows(document)),
        "assay": list(assay_rows(content)),
        "thresholds": list(threshold_rows(document)),
        "provenance": list(provenance_rows(content)),
        "edits": [edit_row(each) for each in content.edits],
        "history": [history_row(each) for each in content.history],
        "amendment": amendment(content),
        "fields": [field_caption(each) for each in content.figures.get("fields", ())],
        "gallery": [gallery_caption(each, document) for each in content.figures.get("gallery", ())],
        "legend_classes": [
            {"code": code, "said": said, "colour": words.COLOURS[code]}
            for code, said in words.CLASSES.items()
        ],
        "legend_scores": [
            {"said": score, "colour": words.SCORE_COLOURS[score]}
            for score in ("0", "0+", "1+", "2+", "3+")
        ],
        "statement": statement(document),
    }


def day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} %"


def interval(value: Mapping[str, float | None]) -> str:
    if value["low"] is None or value["high"] is None:
        return "–"
    return f"{value['low']:.1f} – {value['high']:.1f}"


def area(um2: float) -> str:
    """Say an area in mm², a small one in µm², so that none reads as nothing."""
    return f"{um2 / 1e6:.2f} mm²" if um2 >= 10_000 else f"{count(round(um2))} µm²"


def count(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def status(content: Content) -> str:
    if content.signature is None:
        return "DRAFT: computed, not reviewed, not signed"
    said = f"Signed by {content.signature.name}, {day(content.signature.at)}"
    if content.state == "superseded":
        return f"SUPERSEDED by a newer version. {said}"
    return said


def final(signature: Signature | None) -> dict[str, str] | None:
    if signature is None:
        return None
    return {
        "score": signature.score,
        "colour": words.SCORE_COLOURS[signature.score],
        "name": signature.name,
        "at": day(signature.at),
        "meaning": words.MEANINGS[signature.meaning],
        "comment": signature.comment,
        "reason": signature.reason,
        "sha256": signature.sha256,
    }


def facts(content: Content) -> Iterator[Row]:
    document = content.document
    yield "Case", content.case
    scanned, scanner = document["provenance"]["slide"], content.slide.get("vendor")
    yield "Slide", f"{scanned['sha256'][:12]}…, {scanned['mpp']:g} µm per px"
    yield "Scanner", scanner or NOT_STATED
    yield "Stain", content.slide["stain"]
    yield "Antibody", content.assay.get("antibody") or NOT_STATED
    yield "Scored by", f"{document['protocol']['title']} ({document['protocol']['version']})"
    yield "Tumour cells", f"{count(document['cells'])} in {count(document['tiles'])} fields"
    yield "Tumour area", area(document["evaluated_area_um2"])
    reviewed = document["reviewed_share"]
    share = "–" if reviewed is None else f"{100 * reviewed:.0f} % of the stained membrane"
    yield "Seen by a person", share
    touched = document["edited_cells"]
    said = f"{count(touched)} ({100 * touched / max(1, document['cells']):.2f} %)"
    yield "Cells set by hand", said if touched else "none"


def ish(document: Document) -> str:
    if not document["ish_required"]:
        return ""
    return "In situ hybridisation: asked for by the protocol after this category; not entered."


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
    drawn = {"tiles": "fields"}.get(document["interval"]["drawn"], "cells")
    return f"{count(document['interval']['draws'])} draws of {drawn}"


def class_rows(document: Document) -> Iterator[dict[str, str]]:
    for code, said in words.CLASSES.items():
        share = document["percent"][code]
        yield {
            "code": code,
            "said": said.capitalize(),
            "colour": words.COLOURS[code],
            "cells": count(document["counts"][code]),
            "percent": percent(share["value"]),
            "interval": interval(share),
        }


def group_rows(document: Document) -> Iterator[dict[str, str]]:
    order = list(words.GROUPS)
    groups = [code for code in document["percent"] if code not in words.CLASSES]
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
        yield {
            "said": words.plain(test["test"], words.TESTS),
            "score": test["score"],
            "now": percent(test["percent_now"]),
            "asked": f"{sign.replace('>=', '≥')} {test['threshold']:g} %",
            "met": "met" if test["passed"] else "not met",
            "decided": "yes" if decided else "",
            "flips": f"{count(flips)} fewer" if test["passed"] else f"{count(flips)} more",
        }
        if decided:
            return


def flag_rows(document: Document) -> Iterator[dict[str, str]]:
    for flag in document["flags"]:
        yield {
            "severity": flag["severity"],
            "said": words.plain(flag["code"], words.FLAGS),
            "detail": flag["detail"],
        }


def secondary(document: Document) -> Iterator[Row]:
    h = document["h_score"]
    value = "–" if h["value"] is None else f"{h['value']:.0f} ({h['low']:.0f} – {h['high']:.0f})"
    yield "H-score, 0–300", value
    connected = document["connectivity"]
    yield "Connectivity", "–" if connected is None else f"{connected:.2f}"
    density = document["membrane_od"]
    yield "Mean membrane density", "–" if density is None else f"{density:.2f} log10 OD"


def heterogeneity(document: Document) -> Iterator[Row]:
    found = document["heterogeneity"]
    clustered = "present" if found["clustered"] else "not identified"
    yield "Clustered heterogeneity", clustered
    if found["clustered"]:
        yield "Cells in the 3+ population", percent(found["share_3plus"])
        yield "Score of the rest", found["rest_score"]
    if found["mean_h"] is not None:
        yield "H-score of fields", f"{found['mean_h']:.0f} ± {found['sd_h']:.0f}"
    if found["moran"] is not None:
        yield "Moran's I of fields", f"{found['moran']:.2f}".replace("-", "−")


def region_rows(document: Document) -> Iterator[dict[str, str]]:
    for region in document["regions"]:
        yield {
            "kind": region["kind"],
            "name": region["name"],
            "area": area(region["area_um2"]),
        }


def assay_rows(content: Content) -> Iterator[Row]:
    for code, said in (
        ("antibody", "Antibody"),
        ("platform", "Platform"),
        ("test_type", "Test type"),
        ("fixation", "Fixation"),
        ("controls", "Control tissue"),
    ):
        yield said, content.assay.get(code) or NOT_STATED


def threshold_rows(document: Document) -> Iterator[Row]:
    protocol = document["protocol"]
    for code, value in sorted(protocol["thresholds"].items(), key=order_of_threshold):
        yield words.plain(code, words.THRESHOLDS), str(value).replace(">=", "≥")
    calibrated = protocol["calibrated"]
    yield "Calibrated", f"{calibrated['on']}" if calibrated else "no: start values"
    if protocol["gap"]:
        yield "Pattern the guideline leaves open", f"taken as {protocol['gap']}"


def order_of_threshold(pair: tuple[str, Any]) -> int:
    known = list(words.THRESHOLDS)
    return known.index(pair[0]) if pair[0] in known else len(known)


def provenance_rows(content: Content) -> Iterator[Row]:
    source = content.document["provenance"]
    yield "Report", content.urn
    yield "Document sha256", content.document_sha256
    yield "Slide sha256", source["slide"]["sha256"]
    scanned = f"{source['slide']['width']} × {source['slide']['height']} px"
    yield "Slide", f"{scanned}, {source['slide']['mpp']:g} µm per px"
    model = source["model"]
    yield "Membrane model", f"{model['name']} ({model['kind']}), weights {model['weights_sha256']}"
    yield "Its prediction", model["prediction_sha256"]
    masks = source["masks"]
    yield "People's masks", f"{count(masks['patches'])} patches, snapshot {masks['sha256']}"
    yield "Regions", f"revision {source['regions']['revision']}, {source['regions']['sha256']}"
    protocol = content.document["protocol"]
    yield "Protocol", f"{protocol['name']} {protocol['version']}, {protocol['sha256']}"
    if protocol["calibrated"]:
        yield "Calibration", protocol["calibrated"]["sha256"]
    yield "Nuclei found by", source["detector"]
    software = source["software"]
    commit = f", commit {software['commit']}" if software["commit"] else ""
    yield "Software", f"{words.PRODUCT} {software['version']}{commit}"
    yield "Code sha256", software["code_sha256"]
    yield "Seed", str(source["seed"])
    yield "Computed", f"{day(content.made_at)}, asked for by {content.made_by}"


def edit_row(edit: Edit) -> dict[str, str]:
    after = "left out" if edit.after is None else words.CLASSES[edit.after]
    return {
        "cell": str(edit.cell),
        "change": f"{words.CLASSES[edit.before]} → {after}",
        "who": f"{edit.by}, {day(edit.at)}",
        "reason": edit.reason,
    }


def history_row(version: Version) -> dict[str, str]:
    return {
        "version": str(version.number),
        "state": version.state,
        "score": version.score or "–",
        "at": day(version.at),
        "id": version.id,
    }


def amendment(content: Content) -> str:
    if content.amends is None:
        return ""
    return f"Amends report {content.amends}. Reason: {content.amendment_reason}"


def field_caption(figure: Mapping[str, Any]) -> str:
    rule = {"highest": "Highest H-score", "middle": "Middle", "lowest": "Lowest H-score"}
    return (
        f"{rule[figure['rule']]}: field scores {figure['score']}, H-score {figure['h_score']:.0f}, "
        f"{figure['cells']} cells"
    )


def gallery_caption(row: Mapping[str, Any], document: Document) -> dict[str, str]:
    code = row["class"]
    return {
        "code": code,
        "said": words.CLASSES[code].capitalize(),
        "cells": count(document["counts"][code]),
        "colour": words.COLOURS[code],
    }


def statement(document: Document) -> str:
    return (
        "The category above was computed by image analysis. Every tumour cell in the marked region "
        "is measured: how much of its membrane is stained, and how strongly; the guideline's table "
        f"({document['protocol']['title']}) is applied to the nine counts in whole numbers. A "
        "pathologist must look at the slide and decide. This report states no diagnosis and gives "
        "no advice on treatment."
    )
