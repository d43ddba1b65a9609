"""Reports over REST: asked for, read, corrected, signed for ever, amended."""

import csv
import gzip
import hashlib
import io
import json
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from sqlalchemy import delete, text, update
from sqlalchemy.exc import IntegrityError

from backend.her2.reports.routes import throttle
from backend.her2.reports.tables import Report
from backend.her2.scores.schemas import ProtocolName
from backend.her2.scores.tables import CellDecision
from backend.job_kinds import JobKind
from backend.kit.product import RESEARCH_USE_ONLY
from backend.people.users.tables import Role
from models.her2.protocols import names
from tests.conftest import Service
from tests.support.ready import code, ready_slide
from tests.support.scoring import (
    PASSWORD,
    REPORT,
    ask,
    box,
    computed,
    pathologist,
    report_of,
    sign,
    slide_with_tumour,
)


def read(service: Service, report_id: str, ending: str, **headers: str) -> bytes:
    answer = service.client.get(f"/reports/{report_id}.{ending}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.content


def test_a_report_is_read_in_every_format(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    report_id = computed(service, slide_id)
    report = report_of(service, report_id)
    urn = f"urn:membrana:report:{report_id}"
    assert report["research_use_only"] == RESEARCH_USE_ONLY
    for ending in ("html", "json", "csv", "tiles.csv", "fhir.json", "geojson"):
        content = read(service, report_id, ending)
        assert RESEARCH_USE_ONLY in content.decode(), ending
        assert urn in content.decode(), ending
    pdf = read(service, report_id, "pdf")
    assert pdf == read(service, report_id, "pdf")
    assert pdf.startswith(b"%PDF")
    Bundle.model_validate_json(read(service, report_id, "fhir.json"))
    rows = list(csv.DictReader(io.StringIO(read(service, report_id, "csv").decode())))
    assert len(rows) == report["document"]["cells"]
    tiles = list(csv.DictReader(io.StringIO(read(service, report_id, "tiles.csv").decode())))
    assert len(tiles) == report["document"]["tiles"]
    for name, total in report["document"]["counts"].items():
        assert sum(int(row[name]) for row in tiles) == total
    plain = read(service, report_id, "geojson", **{"Accept-Encoding": "identity"})
    packed = service.client.get(f"/reports/{report_id}.geojson", params={"gzip": True})
    assert packed.headers["Content-Type"] == "application/gzip"
    assert gzip.decompress(packed.content) == plain == read(service, report_id, "geojson")
    whole = json.loads(read(service, report_id, "json"))
    assert whole["document"] == report["document"]
    listed = service.client.get(f"/slides/{slide_id}/reports").json()["items"]
    assert [each["id"] for each in listed] == [report_id]


def test_what_is_signed_never_changes(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    report_id = computed(service, slide_id)
    signer = pathologist(service)
    done = sign(signer, report_id, score="2+", comment="Mostly lateral.", meaning="author")
    assert done.status_code == 200, done.text
    report = done.json()
    assert (report["state"], report["signature"]["score"]) == ("signed", "2+")
    pdf = read(service, report_id, "pdf")
    assert hashlib.sha256(pdf).hexdigest() == report["signature"]["pdf_sha256"]
    html = read(service, report_id, "html").decode()
    assert "Mostly lateral." in html
    [entry] = service.client.get("/audit", params={"action": "report.signed"}).json()["items"]
    assert entry["details"]["signature_sha256"] == report["signature"]["sha256"]
    assert (entry["details"]["computed"], entry["details"]["signed"]) == (report["score"], "2+")
    assert PASSWORD not in json.dumps(entry)

    assert code(sign(signer, report_id)) == (409, "report_state")
    edit = {"edits": [{"cell": 0, "action": "exclude"}], "reason": "why"}
    assert code(signer.post(f"/reports/{report_id}/cells", json=edit)) == (409, "report_state")
    for change in (
        {"signed_score": "3+"},
        {"signed_comment": ""},
        {"files": {}},
        {"state": "draft"},
        {"state": "superseded", "score": "0"},
    ):
        with pytest.raises(IntegrityError), service.database.writing() as session:
            session.execute(update(Report).where(Report.id == report_id).values(**change))
    with pytest.raises(IntegrityError), service.database.writing() as session:
        session.execute(delete(Report).where(Report.id == report_id))
    gone = service.client.delete(f"/slides/{slide_id}")
    assert code(gone) == (409, "slide_in_use")
    assert report_of(service, report_id) == report


def test_signing_asks_for_the_password_and_the_reason(service: Service) -> None:
    throttle.forget()
    report_id = computed(service, slide_with_tumour(service))
    signer = pathologist(service)
    assert code(sign(signer, report_id, password="wrong word")) == (403, "wrong_password")
    program = pathologist(service, password=None)
    assert code(sign(program, report_id)) == (403, "wrong_password")
    viewer = service.client_of(Role.VIEWER)
    assert code(sign(viewer, report_id)) == (403, "not_allowed")
    other = next(each for each in ("0", "1+") if each != report_of(service, report_id)["score"])
    assert code(sign(signer, report_id, score=other, reason=" ")) == (422, "reason_missing")
    assert code(sign(signer, report_id, score="4+")) == (422, "invalid")
    assert report_of(service, report_id)["state"] == "draft"
    own = report_of(service, report_id)["score"]
    assert sign(signer, report_id, score=own, reason="").status_code == 200


def test_an_amendment_names_the_old_and_supersedes_it_when_signed(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    old_id = computed(service, slide_id, assay={"antibody": "4B5"})
    signer = pathologist(service)
    early = signer.post(f"/reports/{old_id}/amend", json={"reason": "why"})
    assert code(early) == (409, "report_state")
    assert sign(signer, old_id).status_code == 200
    signed_pdf = read(service, old_id, "pdf")

    service.client.post(f"/slides/{slide_id}/regions", json=box(0, 0, 300, 300, "exclude"))
    begun = signer.post(f"/reports/{old_id}/amend", json={"reason": "The region held DCIS."})
    assert begun.status_code == 202, begun.text
    service.run_jobs(REPORT)
    new_id = begun.json()["report_id"]
    assert report_of(service, old_id)["state"] == "signed"
    new = sign(signer, new_id).json()
    assert (new["version"], new["amends"], new["state"]) == (2, old_id, "signed")
    assert new["assay"] == {"antibody": "4B5"}
    assert new["document"]["cells"] < report_of(service, old_id)["document"]["cells"]
    assert "The region held DCIS." in read(service, new_id, "html").decode()
    old = report_of(service, old_id)
    assert (old["state"], old["amended_by"]) == ("superseded", new_id)
    assert read(service, old_id, "pdf") == signed_pdf
    assert "SUPERSEDED" in read(service, old_id, "html").decode()
    report = json.loads(read(service, new_id, "fhir.json"))["entry"][0]["resource"]
    assert report["status"] == "amended"
    assert code(signer.post(f"/reports/{old_id}/amend", json={"reason": "again"}))[0] == 409


def test_decisions_on_cells_are_logged_and_can_be_taken_back(service: Service) -> None:
    report_id = computed(service, slide_with_tumour(service))
    before = report_of(service, report_id)["document"]

    def decide(*edits: dict[str, Any]) -> dict[str, Any]:
        said = {"edits": list(edits), "reason": "seen at 40×"}
        answer = service.client.post(f"/reports/{report_id}/cells", json=said)
        assert answer.status_code == 202, answer.text
        service.run_jobs(REPORT)
        return report_of(service, report_id)["document"]

    label = "N" if before["counts"]["N"] < before["cells"] else "IC"
    after = decide({"cell": 0, "action": "exclude"}, {"cell": 1, "action": "class", "class": label})
    assert (after["cells"], after["excluded_cells"]) == (before["cells"] - 1, 1)
    assert after["edited_cells"] == 2
    rows = list(csv.DictReader(io.StringIO(read(service, report_id, "csv").decode())))
    assert [(row["included"], row["edited"]) for row in rows[:3]] == [
        ("0", "1"),
        ("1", "1"),
        ("1", "0"),
    ]
    assert rows[1]["class"] == label
    again = decide({"cell": 0, "action": "include"}, {"cell": 1, "action": "include"})
    assert again == before
    log = service.client.get(f"/reports/{report_id}/cells").json()["items"]
    assert [(each["number"], each["cell"], each["action"]) for each in log] == [
        (1, 0, "exclude"),
        (2, 1, "class"),
        (3, 0, "include"),
        (4, 1, "include"),
    ]
    assert log[1]["class"] == label
    wrong = {"edits": [{"cell": 10**6, "action": "exclude"}], "reason": "none"}
    answer = service.client.post(f"/reports/{report_id}/cells", json=wrong)
    assert code(answer) == (422, "cell_unknown")
    half = {"edits": [{"cell": 1, "action": "class"}], "reason": "none"}
    assert code(service.client.post(f"/reports/{report_id}/cells", json=half))[0] == 422


def test_edits_of_a_signed_report_stay(service: Service) -> None:
    report_id = computed(service, slide_with_tumour(service))
    said = {"edits": [{"cell": 0, "action": "exclude"}], "reason": "a lymphocyte"}
    service.client.post(f"/reports/{report_id}/cells", json=said)
    service.run_jobs(REPORT)
    assert sign(pathologist(service), report_id).status_code == 200
    log = service.client.get(f"/reports/{report_id}/cells").json()
    before = read(service, report_id, "json")
    assert "a lymphocyte" in read(service, report_id, "html").decode()
    for statement in (
        text("UPDATE reports SET frozen_edits = '[]'"),
        text("UPDATE reports SET frozen_edits = NULL"),
        text("UPDATE reports SET edit_count = 0"),
    ):
        with pytest.raises(IntegrityError), service.database.writing() as session:
            session.execute(statement)
    # the slide's decisions are its own: whatever becomes of them, what is signed says the same
    for change in (update(CellDecision).values(reason="another"), delete(CellDecision)):
        with service.database.writing() as session:
            session.execute(change)
        assert service.client.get(f"/reports/{report_id}/cells").json() == log
        assert read(service, report_id, "json") == before
    job = service.client.post(f"/reports/{report_id}/verify").raise_for_status().json()
    service.run_jobs(REPORT)
    assert service.client.get(f"/jobs/{job['id']}").json()["state"] == "succeeded"


def test_a_decision_in_a_report_is_the_slides(service: Service) -> None:
    """The live score follows, later reports have it, and one made later on the slide counts."""
    slide_id = slide_with_tumour(service)
    service.client.put(f"/slides/{slide_id}/score", json={}).raise_for_status()
    service.run_jobs((JobKind.SCORE,))
    report_id = computed(service, slide_id)
    first = report_of(service, report_id)
    said = {"edits": [{"cell": 0, "action": "exclude"}], "reason": "a lymphocyte"}
    reader = pathologist(service)
    reader.post(f"/reports/{report_id}/cells", json=said).raise_for_status()
    service.run_jobs((*REPORT, JobKind.SCORE))
    [made] = service.client.get(f"/reports/{report_id}/cells").json()["items"]
    [decision] = service.client.get(f"/slides/{slide_id}/cells/decisions").json()["items"]
    for name in ("action", "author", "reason", "created_at"):
        assert decision[name] == made[name], name
    score = service.client.get(f"/slides/{slide_id}/score").json()
    assert (score["decisions"], score["document"]["excluded_cells"]) == (1, 1)
    # what the draft was asked for with stays; what is asked for now has the decision
    assert report_of(service, report_id)["inputs"] == first["inputs"]
    later = report_of(service, computed(service, slide_id))
    assert later["document"]["excluded_cells"] == 1
    assert later["document"]["decisions"] == {"on_the_slide": 1, "applied": 1, "without_cell": 0}
    back = {name: decision[name] for name in ("x", "y")} | {"action": "include"}
    body = {"decisions": [back], "reason": "it is tumour"}
    reader.post(f"/slides/{slide_id}/cells/decisions", json=body).raise_for_status()
    service.run_jobs((JobKind.SCORE,))
    score = service.client.get(f"/slides/{slide_id}/score").json()
    assert score["document"]["excluded_cells"] == 0
    assert report_of(service, report_id)["document"]["excluded_cells"] == 1
    numbers = service.client.get(f"/slides/{slide_id}/cells/decisions").json()["items"]
    assert [each["number"] for each in numbers] == [2, 1]


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_request_that_is_sent_twice_is_one_report(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    first = ask(service, slide_id, headers={"Idempotency-Key": "once"}).json()
    again = ask(service, slide_id, headers={"Idempotency-Key": "once"}).json()
    assert first["report_id"] == again["report_id"]
    assert ask(service, slide_id).json()["report_id"] == first["report_id"]
    other = ask(service, slide_id, gap="2+").json()
    assert other["report_id"] != first["report_id"]
    early = service.client.get(f"/reports/{first['report_id']}.pdf")
    assert code(early) == (409, "report_not_ready")
    assert code(sign(pathologist(service), first["report_id"])) == (409, "report_not_ready")
    service.client.delete(f"/jobs/{first['id']}").raise_for_status()
    cancelled = report_of(service, first["report_id"])
    assert (cancelled["state"], cancelled["problem"]["code"]) == ("failed", "cancelled")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_what_can_not_be_scored_is_refused_at_once(service: Service) -> None:
    bare = ready_slide(service)
    assert code(ask(service, bare)) == (409, "no_prediction")
    slide_id = slide_with_tumour(service)
    assert code(ask(service, slide_id, protocol="whatever")) == (422, "invalid")
    assert code(ask(service, slide_id, regions=["none"])) == (422, "region_unknown")
    gastric = {"protocol": "hercep_gastric_resection", "gap": "2+"}
    assert code(ask(service, slide_id, **gastric)) == (422, "invalid")
    unknown = ask(service, slide_id, model_version="none")
    assert code(unknown) == (404, "model_version_not_found")
    assert code(service.client.get("/reports/none")) == (404, "report_not_found")
    viewer = service.client_of(Role.VIEWER)
    assert code(viewer.post(f"/slides/{slide_id}/reports", json={})) == (403, "not_allowed")


def test_the_protocols_on_offer_are_those_that_there_are() -> None:
    assert sorted(ProtocolName) == sorted(names())
