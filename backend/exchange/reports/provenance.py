"""Where a report comes from, as rows: case, assay, protocol, sources, changes, versions."""

from collections.abc import Iterator
from typing import Any

from backend.exchange.reports import words
from backend.exchange.reports.quantities import area, area_as_before, count, day
from backend.her2.classes import CLASS_NAMES
from backend.her2.reports.content import NOT_STATED, Content, Document, Edit, Signature, Version
from backend.kit.product import PRODUCT

Row = tuple[str, str]
ASSAY = (
    ("specimen", "Specimen", ""),
    ("block", "Block", ""),
    ("antibody", "Antibody", ""),
    ("platform", "Platform", ""),
    ("test_type", "Test type", ""),
    ("fixation", "Fixation", ""),
    ("fixation_hours", "Fixed for", "h"),
    ("cold_ischaemia_minutes", "Cold ischaemia", "min"),
    ("controls", "Control tissue", ""),
)
"""Field of the assay, its words, its unit. What later versions added is left out if not stated."""
LOST = "the cell is no longer found"


def facts(content: Content) -> Iterator[Row]:
    document = content.document
    yield "Case", content.case
    scanned, scanner = document["provenance"]["slide"], content.slide.get("vendor")
    if "name" in content.slide:
        yield "Block", content.block
        yield "Slide", content.slide["name"]
        yield "Pixel size", f"{scanned['mpp']:g} µm"
    else:
        yield "Slide", f"{scanned['sha256'][:12]}…, {scanned['mpp']:g} µm per px"
    yield "Scanner", scanner or NOT_STATED
    yield "Stain", content.slide["stain"]
    yield "Antibody", content.assay.get("antibody") or NOT_STATED
    yield "Scored by", f"{document['protocol']['title']} ({document['protocol']['version']})"
    yield "Tumour cells", f"{count(document['cells'])} in {count(document['tiles'])} fields"
    yield from areas(document)
    reviewed = document["reviewed_share"]
    if content.first_schema:
        share = "–" if reviewed is None else f"{100 * reviewed:.0f} % of the outline of the cells"
        yield "Seen by a person", share
    else:
        share = "–" if reviewed is None else f"{100 * reviewed:.0f} % of the cells' membranes"
        yield "Reviewed by a person", share
    touched = document["edited_cells"]
    share_of_all = f"{count(touched)} ({100 * touched / max(1, document['cells']):.2f} %)"
    lost = document.get("decisions", {}).get("without_cell", 0)
    ending = f"; decisions whose cell is not found now: {count(lost)}" if lost else ""
    yield "Cells set by hand", (share_of_all if touched else "none") + ending


def areas(document: Document) -> Iterator[Row]:
    """On how much tissue; documents of the first schema know the marked area alone."""
    if "evaluated_area_um2" in document:
        yield "Tumour area", area_as_before(document["evaluated_area_um2"])
        return
    tissue, marked = document["evaluated_area_mm2"], document["region_area_mm2"]
    yield "Tissue evaluated", f"{area(tissue)} of {area(marked)} marked"


def assay_rows(content: Content) -> Iterator[Row]:
    for code, label, unit in ASSAY:
        value = content.assay.get(code)
        if value is not None:
            yield label, f"{value:g} {unit}" if unit else value
        elif not unit and code not in {"specimen", "block"}:
            yield label, NOT_STATED


def signature_rows(signature: Signature) -> Iterator[Row]:
    who = signature.full_name
    if signature.facts is not None:
        who = f"{who}, {words.plain(signature.role, words.ROLES)} (user {signature.name})"
    yield "Signed by", who
    yield "At", day(signature.at)
    yield "Category", signature.score
    yield "Meaning", words.MEANINGS[signature.meaning]
    if signature.without_review:
        yield "Review", words.WITHOUT_REVIEW
    yield "Signature sha256", signature.sha256


def threshold_rows(document: Document) -> Iterator[Row]:
    protocol = document["protocol"]
    for code, value in sorted(protocol["thresholds"].items(), key=order_of_threshold):
        yield words.plain(code, words.THRESHOLDS), str(value).replace(">=", "≥")
    calibrated = protocol["calibrated"]
    yield "Calibrated", f"{calibrated['on']}" if calibrated else "no: start values"
    if protocol["merge_zero_plus"]:
        yield "Category 0+", "printed as 0"
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
    if threshold := model.get("threshold"):
        yield "Membrane from a probability of", f"{threshold:g}"
    yield "Its prediction", model["prediction_sha256"]
    if computed_by := model.get("computed_by"):
        yield "Prediction computed by", "; ".join(computed_by)
    masks = source["masks"]
    yield "People's masks", f"{count(masks['patches'])} patches, snapshot {masks['sha256']}"
    yield "Regions", f"revision {source['regions']['revision']}, {source['regions']['sha256']}"
    if decided := source.get("decisions"):
        snapshot = f"{count(decided['count'])} on the slide, {decided['sha256']}"
        yield "Decisions on cells", snapshot
    protocol = content.document["protocol"]
    yield "Protocol", f"{protocol['name']} {protocol['version']}, {protocol['sha256']}"
    if protocol["calibrated"]:
        yield "Calibration", protocol["calibrated"]["sha256"]
    built_in = source["detector"] == "log" and not content.first_schema
    yield "Nuclei found by", "the built-in rule" if built_in else source["detector"]
    software = source["software"]
    commit = f", commit {software['commit']}" if software["commit"] else ""
    yield "Software", f"{PRODUCT} {software['version']}{commit}"
    yield "Code sha256", software["code_sha256"]
    yield "Seed", str(source["seed"])
    yield "Computed", f"{day(content.made_at)}, asked for by {content.made_by}"


def edit_row(edit: Edit) -> dict[str, str]:
    after = "left out" if edit.after is None else CLASS_NAMES[edit.after]
    change = f"{CLASS_NAMES[edit.before]} → {after}" if edit.before else f"{after}: {LOST}"
    return {
        "cell": "–" if edit.cell is None else str(edit.cell),
        "change": change,
        "who": f"{edit.by}, {day(edit.at)}" if edit.at else edit.by,
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
