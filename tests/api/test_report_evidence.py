"""What a report keeps of people's words: who decided on cells, and the slide's labels."""

import io
import json
from typing import Any

import pypdfium2
import pytest
from sqlalchemy import select

from backend.her2.reports import loading, signing
from backend.her2.reports.tables import Report
from backend.her2.scores.schemas import ISH_WORDS
from backend.her2.scores.tables import CellDecision
from backend.job_kinds import JobKind
from tests.conftest import Service
from tests.support.ready import code
from tests.support.scoring import (
    ISH,
    REPORT,
    SIDE,
    ask,
    box,
    computed,
    pathologist,
    report_of,
    sign,
    slide_with_tumour,
)

EXPORTS = ("pdf", "html", "json", "csv", "tiles.csv", "fhir.json", "geojson")


def read(service: Service, report_id: str, ending: str) -> bytes:
    answer = service.client.get(f"/reports/{report_id}.{ending}")
    assert answer.status_code == 200, answer.text
    content: bytes = answer.content
    return content


def words_of(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(io.BytesIO(pdf)) as document:
        pages = [page.get_textpage().get_text_bounded() for page in document]
    return " ".join(" ".join(pages).split())


def verified(service: Service, report_id: str) -> dict[str, Any]:
    job = service.client.post(f"/reports/{report_id}/verify").raise_for_status().json()
    service.run_jobs(REPORT)
    found: dict[str, Any] = service.client.get(f"/jobs/{job['id']}").json()
    return found


def cells_of(service: Service, slide_id: str) -> list[dict[str, Any]]:
    where = {"x": 0, "y": 0, "width": SIDE, "height": SIDE, "limit": 10_000}
    items: list[dict[str, Any]] = service.client.get(
        f"/slides/{slide_id}/cells", params=where
    ).json()["items"]
    return items


def test_who_decided_on_cells_in_the_annotator_and_why_stands_in_the_report(
    service: Service,
) -> None:
    slide_id = slide_with_tumour(service)
    service.client.put(f"/slides/{slide_id}/score", json={}).raise_for_status()
    service.run_jobs((JobKind.SCORE,))
    inside = [each for each in cells_of(service, slide_id) if each["x"] > 250]
    lost = next(each for each in cells_of(service, slide_id) if each["x"] < 130)
    excluded, other, back = inside[0], inside[20], inside[40]
    label = "IC" if other["measured"] != "IC" else "N"
    reader = pathologist(service)

    def decide(cell: dict[str, Any], action: str, reason: str, label: str | None = None) -> None:
        said = {"x": cell["x"], "y": cell["y"], "action": action, "label": label}
        body = {"decisions": [said], "reason": reason}
        answer = reader.post(f"/slides/{slide_id}/cells/decisions", json=body)
        assert answer.status_code == 202, answer.text

    decide(excluded, "exclude", "a lymphocyte, I am sure")
    decide(other, "class", "seen at 40×", label)
    decide(lost, "exclude", "out of focus here")
    decide(back, "exclude", "a slip of the hand")
    decide(back, "include", "taken back")
    # the nucleus of one of them is not measured any more
    drawn = service.client.post(f"/slides/{slide_id}/regions", json=box(0, 0, 160, SIDE, "exclude"))
    assert drawn.status_code == 201
    report_id = computed(service, slide_id)
    document = report_of(service, report_id)["document"]
    assert document["decisions"] == {"on_the_slide": 3, "applied": 2, "without_cell": 1}
    assert (document["edited_cells"], document["excluded_cells"]) == (2, 1)
    inputs = report_of(service, report_id)["inputs"]
    assert document["provenance"]["decisions"] == inputs["decisions"]

    with service.database.reading() as session:
        name = session.scalars(select(CellDecision)).first().author.name  # type: ignore[union-attr]
    rows = json.loads(read(service, report_id, "json"))["decisions"]
    assert [(row["action"], row["fate"]) for row in rows] == [
        ("exclude", "applied"),
        ("class", "applied"),
        ("exclude", "no_cell"),
        ("include", "taken_back"),
    ]
    assert {row["by"] for row in rows} == {name}
    assert all(row["at"] for row in rows)
    assert rows[1]["measured"] == other["measured"]
    assert rows[2]["cell"] is None
    for said in (
        read(service, report_id, "html").decode(),
        words_of(read(service, report_id, "pdf")),
    ):
        for part in ("a lymphocyte, I am sure", "seen at 40×", "out of focus here", name):
            assert part in said, part
        assert "a slip of the hand" not in said
        assert "decisions whose cell is not found now: 1" in said
    assert verified(service, report_id)["state"] == "succeeded"

    # a decision in the report itself goes before that of the slide
    edit = {"edits": [{"cell": rows[0]["cell"], "action": "include"}], "reason": "it is tumour"}
    service.client.post(f"/reports/{report_id}/cells", json=edit).raise_for_status()
    service.run_jobs(REPORT)
    again = json.loads(read(service, report_id, "json"))
    assert again["decisions"][0]["fate"] == "replaced"
    assert again["document"]["excluded_cells"] == 0
    assert again["edits"][0]["reason"] == "it is tumour"


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_signed_reports_exports_stay_whatever_the_slide_is_called_later(
    service: Service,
) -> None:
    slide_id = slide_with_tumour(service)
    service.client.patch(f"/slides/{slide_id}", json={"case_id": "24-1187"}).raise_for_status()
    report_id = computed(service, slide_id)
    assert sign(pathologist(service), report_id).status_code == 200
    before = {ending: read(service, report_id, ending) for ending in EXPORTS}
    assert b"24-1187" in before["html"]
    changed = {"case_id": "another case", "stain": "Ki67"}
    service.client.patch(f"/slides/{slide_id}", json=changed).raise_for_status()
    assert {ending: read(service, report_id, ending) for ending in EXPORTS} == before
    assert verified(service, report_id)["state"] == "succeeded"
    later = report_of(service, computed(service, slide_id))
    assert later["inputs"]["labels"]["case_id"] == "another case"


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_signature_binds_all_that_an_export_is_made_from(service: Service) -> None:
    report_id = computed(service, slide_with_tumour(service), assay={"antibody": "4B5"})
    said = {"edits": [{"cell": 0, "action": "exclude"}], "reason": "a lymphocyte"}
    service.client.post(f"/reports/{report_id}/cells", json=said).raise_for_status()
    service.run_jobs(REPORT)
    signed = sign(pathologist(service), report_id).json()
    with service.database.reading() as session:
        report = session.get_one(Report, report_id)
        signature = loading.signature_of(report)
        assert signature is not None

        def sha256() -> str:
            return signing.bound(session, report, signature, str(report.signed_by), report.ish)

        assert sha256() == signed["signature"]["sha256"]
        with session.no_autoflush:
            for name, value in (
                ("inputs", report.inputs | {"labels": {"case_id": "another"}}),
                ("assay", {"antibody": "SP3"}),
                ("files", {}),
                ("ish", {"result": "negative"}),
                ("version", 7),
                ("amendment_reason", "none"),
            ):
                kept = getattr(report, name)
                setattr(report, name, value)
                assert sha256() != signed["signature"]["sha256"], name
                setattr(report, name, kept)
            [edit] = report.frozen_edits or []
            report.frozen_edits = [edit | {"reason": "another"}]
            assert sha256() != signed["signature"]["sha256"]
            report.frozen_edits = []
            assert sha256() != signed["signature"]["sha256"]
        session.rollback()


def test_a_hybridisation_that_a_person_enters_is_printed_signed_and_kept(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    report_id = computed(service, slide_id, ish={**ISH, "result": "negative"})
    assert report_of(service, report_id)["ish"]["result"] == "negative"
    signer = pathologist(service)
    wrong = sign(signer, report_id, ish={**ISH, "group": 5})
    assert code(wrong) == (422, "ish_contradicts")
    assert "group 1, not 5" in wrong.json()["detail"]
    single = {"method": "single probe", "result": "positive", "read_by": "M. Ito", "ratio": 3}
    assert code(sign(signer, report_id, ish=single)) == (422, "ish_contradicts")
    nameless = {**ISH, "read_by": " "}
    assert code(sign(signer, report_id, ish=nameless)) == (422, "invalid")
    for name, wrong_value in (("group", 6), ("copies", 0), ("cells", 2.5), ("result", "maybe")):
        refused = sign(signer, report_id, ish={**ISH, name: wrong_value}).json()
        assert refused["errors"] == [
            {"where": f"body.ish.{name}", "message": ISH_WORDS[name]},
        ]
    signed = sign(signer, report_id, ish=ISH).json()
    by = signed["signature"]["by"]["username"]
    assert signed["ish"]["entered_by"]["name"] == by
    said = f"as entered by {by}"
    assert said in words_of(read(service, report_id, "pdf"))
    assert "positive, group 1, ratio 4.1" in read(service, report_id, "html").decode()
    assert json.loads(read(service, report_id, "json"))["ish"] == signed["ish"]
    assert verified(service, report_id)["state"] == "succeeded"
    begun = signer.post(f"/reports/{report_id}/amend", json={"reason": "another region"})
    service.run_jobs(REPORT)
    amended = report_of(service, begun.json()["report_id"])
    assert amended["ish"] == signed["ish"]


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_laboratory_that_prints_0_plus_as_0_asks_for_it(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    assay = {
        "specimen": "24-1187 core biopsy",
        "block": "A3",
        "fixation_hours": 24,
        "cold_ischaemia_minutes": 30,
    }
    report_id = computed(service, slide_id, merge_zero_plus=True, assay=assay)
    report = report_of(service, report_id)
    assert report["document"]["protocol"]["merge_zero_plus"] is True
    page = read(service, report_id, "html").decode()
    for part in ("printed as 0", "24-1187 core biopsy", "A3", "24 h", "30 min"):
        assert part in page, part
    assert report_of(service, computed(service, slide_id))["inputs"]["merge_zero_plus"] is False
    gastric = {"protocol": "hercep_gastric_resection", "merge_zero_plus": True}
    assert code(ask(service, slide_id, **gastric)) == (422, "invalid")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_key_that_was_sent_for_one_slide_is_not_another_slides(service: Service) -> None:
    first, other = slide_with_tumour(service), slide_with_tumour(service, seed=4)
    key = {"Idempotency-Key": "one"}
    assert ask(service, first, headers=key).status_code == 202
    assert code(ask(service, other, headers=key)) == (409, "idempotency_key_reused")
    assert service.client.get(f"/slides/{other}/reports").json()["items"] == []
