"""The report as PDF, HTML and FHIR: the same bytes each time, the statement in all, nothing raw."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from fhir.resources.R4B.bundle import Bundle
from PIL import Image

from backend.exchange.reports import words
from backend.exchange.reports.formats.fhir import bundle, fhir
from backend.exchange.reports.formats.html import html
from backend.exchange.reports.formats.pdf import pages, pdf
from backend.exchange.reports.printed import printed
from backend.exchange.reports.svg_figures import PLACES, gallery_row, histogram_of, rounded_up
from backend.her2.classes import CLASS_NAMES
from backend.her2.reports.content import Content
from backend.kit.product import RESEARCH_USE_ONLY
from models.her2.classes import CLASSES
from models.her2.flags import SEVERITY
from models.her2.protocols import load, names
from tests.support.reported import AT, REPORT_ID, SIDE, URN, content, measured

TREATMENT = re.compile(
    r"\b(eligib|treat(?!ment\.)|therap|trastuzumab|deruxtecan|benefit|HER2-low|ultralow)",
    re.IGNORECASE,
)


def test_equal_content_gives_an_equal_pdf() -> None:
    first = pdf(content(signed=True))
    assert first == pdf(content(signed=True))
    assert first.startswith(b"%PDF-")
    # found in the file without reading PDF: what `membrana report verify` looks for
    assert URN.encode() in first
    assert b"pdfaid" in first
    assert first != pdf(content())


def test_every_page_says_research_use_only() -> None:
    shown = [np.asarray(Image.open(io.BytesIO(page)).convert("L")) for page in pages(content())]
    assert len(shown) >= 3
    without = replace(content(), urn=URN.replace("aa", "ab"))
    assert len(pages(without)) == len(shown)
    height, width = shown[0].shape
    # the statement stands left at the foot, where no page number is
    foot = np.s_[round(0.945 * height) : round(0.975 * height), : width // 2]
    assert (shown[0][foot] < 100).sum() > 200
    for page in shown[1:]:
        np.testing.assert_array_equal(page[foot], shown[0][foot])


def test_a_slide_without_a_region_has_a_report_too() -> None:
    whole = content()
    nothing = {
        "score": "not assessable",
        "printed_score": "not assessable",
        "reason": "no_tumour_region",
        "reason_text": "There is no tumour region.",
        "cells": 0,
        "tiles": 0,
        "counts": dict.fromkeys(CLASSES, 0),
        "percent": dict.fromkeys(CLASSES, dict.fromkeys(("value", "low", "high"))),
        "probability": {"not assessable": 1.0},
        "distance": [],
        "h_score": dict.fromkeys(("value", "low", "high")),
        "connectivity": None,
        "membrane_od": None,
        "reviewed_share": None,
        "regions": [],
    }
    bare = replace(whole, document={**whole.document, **nothing}, figures={})
    assert pdf(bare).startswith(b"%PDF-")
    assert b"not assessable" in html(bare)
    Bundle.model_validate_json(fhir(bare, pdf=b"", pdf_url="/report.pdf"))


class Texts(HTMLParser):
    """What a reader sees, and the tags that made it."""

    def __init__(self, source: bytes) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.feed(source.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.words.append(data)


def test_html_says_the_same_and_escapes_what_people_typed() -> None:
    source = html(content(signed=True))
    assert source == html(content(signed=True))
    seen = Texts(source)
    said = " ".join(seen.words)
    for part in (
        RESEARCH_USE_ONLY,
        "24-H-1187 <A3>",
        "<b>fold</b>",
        "Dr. A. Osei",
        "Looked at 40×.",
        "a lymphocyte",
        "The region held DCIS.",
    ):
        assert part in said
    assert "script" not in seen.tags
    assert "<b>fold" not in source.decode()


HOSTILE = "</title></style>\"'><img src=x onerror=alert(1)><script>alert(1)</script>{{7*7}}"


def test_no_name_that_somebody_typed_is_markup() -> None:
    """A slide's file, case and block, people, their reasons, a region: all of it is text."""
    whole = content(signed=True)
    assert whole.signature is not None
    assert whole.ish is not None
    facts = {
        "signer": {"full_name": HOSTILE, "role": "pathologist"},
        "seen": {"anything": False},
    }
    region = {"id": "x", "kind": "tumour", "name": HOSTILE, "area_mm2": 1.0}
    typed = replace(
        whole,
        made_by=HOSTILE,
        slide={**whole.slide, "name": HOSTILE, "case_id": HOSTILE, "block": HOSTILE},
        assay={"antibody": HOSTILE, "specimen": HOSTILE},
        ish={**whole.ish, "read_by": HOSTILE, "entered_by": {"id": "", "name": HOSTILE}},
        document={**whole.document, "regions": [region]},
        signature=replace(
            whole.signature, name=HOSTILE, comment=HOSTILE, reason=HOSTILE, facts=facts
        ),
        edits=[replace(each, by=HOSTILE, reason=HOSTILE) for each in whole.edits],
        amendment_reason=HOSTILE,
    )
    page = html(typed)
    plain, seen = Texts(html(whole)), Texts(page)
    assert seen.tags == plain.tags
    assert "img" not in seen.tags
    said = "".join(seen.words)
    assert said.count(HOSTILE) >= 14
    assert b"<script" not in page
    assert b"onerror=alert(1)>" not in page


@pytest.mark.parametrize("signed", [False, True])
def test_nothing_talks_of_treatment(*, signed: bool) -> None:
    said = json.dumps(printed(content(signed=signed)), ensure_ascii=False)
    assert TREATMENT.search(said) is None
    assert "no advice on treatment" in said


def resources(whole: Content, kind: str) -> list[dict]:
    made = bundle(whole, pdf=b"%PDF", pdf_url="/api/v1/reports/x.pdf")
    return [each["resource"] for each in made["entry"] if each["resource"]["resourceType"] == kind]


@pytest.mark.parametrize("signed", [False, True])
def test_fhir_is_valid_r4b(*, signed: bool) -> None:
    whole = content(signed=signed)
    made = fhir(whole, pdf=b"%PDF", pdf_url="/api/v1/reports/x.pdf")
    assert made == fhir(whole, pdf=b"%PDF", pdf_url="/api/v1/reports/x.pdf")
    read = Bundle.model_validate_json(made)
    addresses = {entry.fullUrl for entry in read.entry}
    [report] = [each.resource for each in read.entry if isinstance_of(each, "DiagnosticReport")]
    assert report.id == REPORT_ID
    assert report.status == ("amended" if signed else "preliminary")
    assert {each.reference for each in report.result} <= addresses
    assert RESEARCH_USE_ONLY in report.conclusion
    for each in json.loads(made)["entry"]:
        if each["resource"]["resourceType"] in {"DiagnosticReport", "Observation"}:
            assert each["resource"]["meta"]["tag"][0]["display"] == RESEARCH_USE_ONLY
    for display in re.findall(r'"display": "([^"]*)"', made.decode()):
        assert len(display) <= 64


def isinstance_of(entry, kind: str) -> bool:
    return entry.resource.__class__.__name__ == kind


def test_fhir_keeps_the_computed_category_beside_the_signed_one() -> None:
    computed, signed, _ = [
        each
        for each in resources(content(signed=True), "Observation")
        if "valueCodeableConcept" in each
    ]
    assert computed["valueCodeableConcept"]["text"] == "2+"
    assert signed["valueCodeableConcept"]["text"] == "1+"
    assert signed["performer"] == [{"display": "Dr. A. Osei"}]
    [share] = [
        each
        for each in resources(content(), "Observation")
        if each["code"]["coding"][0]["code"] == "85328-3"
    ]
    assert share["valueQuantity"]["value"] == content().document["percent"]["IC"]["value"]


def test_0_plus_is_0_with_a_local_code_in_fhir() -> None:
    whole = content()
    low = {**whole.document, "score": "0+", "printed_score": "0+"}
    value = resources(replace(whole, document=low), "Observation")[0]["valueCodeableConcept"]
    assert [each["code"] for each in value["coding"]] == ["LA6111-4", "0+"]
    assert value["text"] == "0+"


def test_hybridisation_is_what_somebody_entered_and_nothing_else() -> None:
    entered = "as entered by Dr. A. Osei, 2026-03-04 05:06 UTC: negative, group 5, ratio 1.2"
    whole = content(signed=True)
    assert entered in printed(whole)["ish"]
    assert entered in html(whole).decode()
    found = {each["code"]["coding"][0]["code"]: each for each in resources(whole, "Observation")}
    assert found["85318-4"]["valueCodeableConcept"] == {"text": "negative"}
    assert found["49683-6"]["valueQuantity"]["value"] == 1.2
    assert found["74860-8"]["performer"] == [{"display": "M. Ito"}]
    nothing = replace(whole, ish=None)
    assert "not entered" in printed(nothing)["ish"]
    assert not {"85318-4", "49683-6"} & {
        each["code"]["coding"][0]["code"] for each in resources(nothing, "Observation")
    }


def test_0_plus_printed_as_0_keeps_its_percentage() -> None:
    whole = content()
    protocol = {**whole.document["protocol"], "merge_zero_plus": True}
    merged = {**whole.document, "score": "0+", "printed_score": "0", "protocol": protocol}
    said = printed(replace(whole, document=merged))
    stained = whole.document["percent"]["stained"]["value"]
    assert said["computed"]["score"] == "0"
    assert f"Stained: {stained:.1f} %; category 0+, printed as 0." in said["computed"]["reason"]
    assert ["Category 0+", "printed as 0"] in [list(row) for row in said["thresholds"]]
    value = resources(replace(whole, document=merged), "Observation")[0]["valueCodeableConcept"]
    assert [each["code"] for each in value["coding"]] == ["LA6111-4"]
    assert value["text"] == "0"


def test_words_know_every_code() -> None:
    assert tuple(CLASS_NAMES) == CLASSES
    assert set(words.COLOURS) == {*CLASSES, words.EXCLUDED}
    assert set(words.FLAGS) == set(SEVERITY)
    for name in names():
        reasons = {row.reason for row in load(name).table if row.when not in {"any", "otherwise"}}
        assert reasons <= set(words.TESTS), name


def test_a_towering_column_flattens_no_other() -> None:
    drawn = histogram_of([([900, 10, 12, 8], "#000", "cells")], 0.1, [], "of something")
    assert "↑ 900" in drawn
    assert [rounded_up(value) for value in (1, 3, 10, 11, 49, 501)] == [1, 5, 10, 20, 50, 1000]


def test_a_short_row_of_examples_is_not_drawn_wider() -> None:
    row = content().figures["gallery"][0]
    drawn = [
        gallery_row(row | {"examples": row["examples"][:many]}, lambda _: b"")
        for many in (1, PLACES)
    ]
    size = re.compile(r'viewBox="0 0 (\d+) (\d+)"')
    assert size.search(drawn[0])[0] == size.search(drawn[1])[0]
    assert size.search(drawn[0])[1] == str(PLACES * row["side"])


def test_fields_and_examples_lie_on_the_slide() -> None:
    """A phantom of 1400 px has tiles and cells at its edge; those inside are shown."""
    document, figures = content().document, content().figures
    assert len(figures["fields"]) == 3
    tile_um = document["heterogeneity"]["tile_um"]
    for shown in figures["fields"]:
        assert max(shown["x_um"], shown["y_um"]) + tile_um <= SIDE * 0.25
        # the corner of 200 px is left out of the score, and so is the field that holds it
        assert max(shown["x_um"], shown["y_um"]) >= 200 * 0.25
        assert shown["whole"]
    cells = measured()[0]
    for row in figures["gallery"]:
        numbers = [each["cell"] for each in row["examples"]]
        half = row["side"] / 2
        for places in (cells.x[numbers], cells.y[numbers]):
            assert (places >= half).all()
            assert (places <= SIDE - half).all()


def test_a_threshold_is_said_in_two_decimals() -> None:
    whole = content()
    tests = [{**whole.document["distance"][0], "threshold": 1.018429}]
    said = printed(replace(whole, document={**whole.document, "distance": tests}))
    assert said["tests"][0]["asked"] == "> 1.02 %"


def test_the_date_is_the_reports_and_not_todays() -> None:
    said = printed(content(signed=True))
    assert said["dated"] == f"{AT:%Y-%m-%d %H:%M} UTC"
    assert b"2026-03-04" in html(content(signed=True))
