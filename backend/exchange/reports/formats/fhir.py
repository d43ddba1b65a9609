"""The report as FHIR R4B: a collection of DiagnosticReport, Observations, Device and Provenance.

LOINC codes as in her2.md §4.2; what LOINC does not have is a local code. Category 0+ has no LOINC
answer: it is 0 with a local code and text beside it.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha1
from html import escape
from typing import Any

from backend.exchange.reports import words
from backend.exchange.reports.categories import ANSWERS, coded_score
from backend.exchange.reports.fhir_ish import hybridised
from backend.exchange.reports.fhir_resources import (
    BREAST,
    LOCAL,
    LOINC,
    Resource,
    address,
    address_of,
    coded,
    identity,
    instant,
    marked,
    measured,
    observation,
    status,
)
from backend.exchange.reports.format import File, Format, Source
from backend.exchange.reports.formats import pdf as pdf_format
from backend.her2.classes import CLASS_NAMES
from backend.her2.reports.content import Content, Signature
from backend.kit.product import PRODUCT, RESEARCH_USE_ONLY

SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
SIGNED_AS = "urn:iso-astm:E1762-95:2013"


def fhir(content: Content, *, pdf: bytes, pdf_url: str) -> bytes:
    """Return the bundle as canonical JSON. `pdf`: the report's PDF, named by hash and address."""
    return json.dumps(
        bundle(content, pdf=pdf, pdf_url=pdf_url), sort_keys=True, ensure_ascii=False, indent=1
    ).encode()


def bundle(content: Content, *, pdf: bytes, pdf_url: str) -> Resource:
    observations = list(observed(content))
    device = software(content)
    results = [{"reference": address(each)} for each in observations]
    resources = [report(content, results, pdf, pdf_url), *observations, device]
    resources.append(provenance(content, resources[0], device))
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": content.urn},
        "meta": marked(),
        "timestamp": instant(content),
        "entry": [{"fullUrl": address(each), "resource": each} for each in resources],
    }


def report(content: Content, results: list[dict[str, str]], pdf: bytes, pdf_url: str) -> Resource:
    signed = content.signature
    resource: Resource = {
        "resourceType": "DiagnosticReport",
        "id": content.urn.rpartition(":")[2],
        "meta": marked(),
        "text": narrative(content),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": content.urn}],
        "status": status(content),
        "category": [coded(SECTION, "SP", "Surgical Pathology")],
        "code": coded(LOINC, "60568-3", "Pathology Synoptic report"),
        "issued": instant(content),
        "result": results,
        "conclusion": conclusion(content),
        "presentedForm": [
            {
                "contentType": "application/pdf",
                "language": "en",
                "url": pdf_url,
                "size": len(pdf),
                # SHA-1 is what this field of R4B is defined as
                "hash": b64encode(sha1(pdf, usedforsecurity=False).digest()).decode(),
                "title": "HER2 image analysis report",
            }
        ],
    }
    if content.slide["case_id"]:
        resource["subject"] = {"identifier": {"value": content.slide["case_id"]}, "display": "Case"}
    if "name" in content.slide:
        specimen = f"Block {content.block}, slide {content.slide['name']}"
        resource["specimen"] = [{"display": specimen}]
    if signed:
        resource["resultsInterpreter"] = [{"display": person(signed)}]
    return resource


def person(signed: Signature) -> str:
    """Name a signer with their role, where the signature has frozen it."""
    role = words.plain(signed.role, words.ROLES) if signed.facts else ""
    return f"{signed.full_name}, {role}" if role else signed.full_name


def observed(content: Content) -> Iterator[Resource]:
    """The category, as computed and as signed, then the numbers it rests on."""
    document = content.document
    breast = document["protocol"]["name"] == BREAST
    category = (
        coded(LOINC, "85319-2", "HER2 Br ca spec Ql ImStn")
        if breast
        else coded(LOINC, "18474-7", "HER2 Ag Tiss Ql ImStn")
    )
    computed = observation(content, "computed-category", category)
    computed["valueCodeableConcept"] = answer(coded_score(document), document["printed_score"])
    computed["method"] = {"text": f"Image analysis, {document['protocol']['title']}"}
    computed["device"] = {"reference": address_of(content, "device")}
    computed["note"] = [{"text": document["reason_text"]}, *flag_notes(document)]
    yield computed
    if signed := content.signature:
        final = observation(content, "signed-category", category)
        final["valueCodeableConcept"] = answer(signed.score, signed.score)
        final["performer"] = [{"display": person(signed)}]
        final["derivedFrom"] = [{"reference": address(computed)}]
        review = words.WITHOUT_REVIEW if signed.without_review else ""
        comments = [each for each in (review, signed.reason, signed.comment) if each]
        if comments:
            final["note"] = [{"text": each} for each in comments]
        yield final
    yield from hybridised(content)
    for name, share in document["percent"].items():
        if share["value"] is None:
            continue
        title = CLASS_NAMES.get(name) or words.plain(name, words.GROUPS)
        code = coded(LOCAL, f"percent-{name.replace('_', '-')}", f"Cells, {title.lower()}")
        if name == "intense_complete" and breast:
            uniform = {"system": LOINC, "code": "85328-3"}
            uniform["display"] = "Cells.HER2 uniform intense membrane/cells Br ca"
            code["coding"].insert(0, uniform)
        yield measured(content, f"percent-{name}", code, share, "%")
    h = document["h_score"]
    if h["value"] is not None:
        yield measured(content, "h-score", coded(LOCAL, "h-score", "H-score"), h, "1")
    cells = observation(content, "cells", coded(LOCAL, "cells", "Tumour cells evaluated"))
    cells["valueInteger"] = document["cells"]
    yield cells


def software(content: Content) -> Resource:
    program = content.document["provenance"]["software"]
    return {
        "resourceType": "Device",
        "id": identity(content, "device"),
        "deviceName": [{"name": PRODUCT, "type": "manufacturer-name"}],
        "version": [{"value": program["version"]}, {"value": f"code {program['code_sha256']}"}],
        "note": [{"text": RESEARCH_USE_ONLY}],
    }


def provenance(content: Content, target: Resource, device: Resource) -> Resource:
    source = content.document["provenance"]
    resource: Resource = {
        "resourceType": "Provenance",
        "id": identity(content, "provenance"),
        "target": [{"reference": address(target)}],
        "recorded": instant(content),
        "agent": [{"who": {"reference": address(device)}}],
        "entity": [
            {"role": "source", "what": {"identifier": {"system": LOCAL, "value": value}}}
            for value in (
                f"slide sha256 {source['slide']['sha256']}",
                f"model weights sha256 {source['model']['weights_sha256']}",
                f"annotations sha256 {source['masks']['sha256']}",
                f"regions sha256 {source['regions']['sha256']}",
                f"protocol sha256 {content.document['protocol']['sha256']}",
                f"document sha256 {content.document_sha256}",
            )
        ],
    }
    if decided := source.get("decisions"):
        what = {"identifier": {"system": LOCAL, "value": f"decisions sha256 {decided['sha256']}"}}
        resource["entity"].append({"role": "source", "what": what})
    if content.amends:
        old = {"identifier": {"system": "urn:ietf:rfc:3986", "value": content.amends}}
        resource["entity"].append({"role": "revision", "what": old})
        resource["reason"] = [{"text": content.amendment_reason}]
    if signed := content.signature:
        who = {"display": person(signed)}
        resource["agent"].append({"who": who})
        kind = {"system": SIGNED_AS, "code": SIGNATURES[signed.meaning]}
        resource["signature"] = [{"type": [kind], "when": instant(content), "who": who}]
    return resource


SIGNATURES: Mapping[str, str] = {
    "author": "1.2.840.10065.1.12.1.1",
    "reviewer": "1.2.840.10065.1.12.1.8",
    "approver": "1.2.840.10065.1.12.1.6",
}
"""Purposes of ASTM E1762: author's, review, consent (to release)."""


def answer(score: str, printed: str) -> Resource:
    code, display = ANSWERS[score]
    coding = [{"system": LOINC, "code": code, "display": display}]
    if score == "0+":
        coding.append({"system": LOCAL, "code": "0+", "display": "0+"})
    return {"coding": coding, "text": printed}


def conclusion(content: Content) -> str:
    document, signed = content.document, content.signature
    final = f" Signed category: {signed.score}." if signed else " Not signed."
    if signed and signed.without_review:
        final = f"{final} {words.WITHOUT_REVIEW}"
    return (
        f"HER2 category computed by image analysis: {document['printed_score']}. "
        f"{document['reason_text']}{final} {RESEARCH_USE_ONLY}"
    )


def narrative(content: Content) -> Resource:
    text = escape(conclusion(content))
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{text}</p></div>'
    return {"status": "generated", "div": div}


def flag_notes(document: Mapping[str, Any]) -> list[Resource]:
    return [
        {"text": f"{words.plain(flag['code'], words.FLAGS)}: {flag['detail']}"}
        for flag in document["flags"]
    ]


def write(source: Source) -> bytes:
    address = f"/api/v1/reports/{source.report.id}.pdf"
    return fhir(source.content, pdf=pdf_format.write(source), pdf_url=address)


def urn_in(file: File) -> Any:
    if file.document is None or file.document.get("resourceType") != "Bundle":
        return None
    identifier = file.document.get("identifier")
    return identifier.get("value") if isinstance(identifier, dict) else None


FORMAT = Format(write, urn_in)
