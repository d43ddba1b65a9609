"""`verify` finds every stored byte of a report that is not what was made or signed."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from backend.her2.reports.tables import Report
from models.canonical import canonical
from tests.conftest import Service
from tests.support.ready import code
from tests.support.scoring import REPORT, computed, pathologist, sign, slide_with_tumour
from worker.her2.document import code_files
from worker.run import run_job

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def verified(service: Service, report_id: str) -> dict[str, Any]:
    job = service.client.post(f"/reports/{report_id}/verify").raise_for_status().json()
    [job_id] = service.queued(REPORT)
    run_job(job_id, service.settings)
    found: dict[str, Any] = service.client.get(f"/jobs/{job['id']}").json()
    return found


def row(service: Service, report_id: str) -> Report:
    with service.database.reading() as session:
        return session.get_one(Report, report_id)


def change(service: Service, report_id: str, statement: str, **values: str) -> None:
    """Change a signed row as somebody can who owns the database file: without its guards."""
    with service.database.writing() as session:
        session.execute(text("DROP TRIGGER reports_signed_update"))
        session.execute(
            text(f"UPDATE reports SET {statement} WHERE id = :id"), {"id": report_id, **values}
        )


def test_a_stored_file_that_was_replaced_is_named(service: Service) -> None:
    report_id = computed(service, slide_with_tumour(service))
    assert sign(pathologist(service), report_id).status_code == 200
    assert verified(service, report_id)["state"] == "succeeded"
    report = row(service, report_id)
    places = {
        "pdf": str(report.pdf_sha256),
        "document": str(report.document_sha256),
        "csv": report.files["csv"],
        "inputs.regions": report.inputs["regions"]["sha256"],
    }
    for name, sha256 in places.items():
        path = service.blobs.path(sha256)
        kept = path.read_bytes()
        path.write_bytes(kept[:-2] + b"xx")
        job = verified(service, report_id)
        assert (job["state"], job["problem"]["code"]) == ("failed", "report_altered"), name
        assert name in job["problem"]["differs"]
        if name in {"pdf", "document"}:
            answer = service.client.get(f"/reports/{report_id}.pdf")
            assert code(answer) == (500, "blob_damaged")
        path.unlink()
        assert name in verified(service, report_id)["problem"]["differs"]
        path.write_bytes(kept)
    assert verified(service, report_id)["state"] == "succeeded"


def test_a_signed_word_that_was_changed_in_the_database_is_noticed(service: Service) -> None:
    report_id = computed(service, slide_with_tumour(service))
    assert sign(pathologist(service), report_id, comment="as seen").status_code == 200
    change(service, report_id, "signed_comment = :said", said="as never seen")
    job = verified(service, report_id)
    assert (job["state"], job["problem"]["code"]) == ("failed", "report_altered")
    assert job["problem"]["differs"] == ["signature"]


def test_an_export_that_is_whole_and_not_of_this_report_is_noticed(service: Service) -> None:
    report_id = computed(service, slide_with_tumour(service))
    report = row(service, report_id)
    lines = gzip.decompress(service.blobs.read(report.files["csv"]))
    other = service.blobs.put(gzip.compress(lines.replace(b",IC,", b",WP,"), mtime=0))
    with service.database.writing() as session:
        session.get_one(Report, report_id).files = {**report.files, "csv": other}
    job = verified(service, report_id)
    assert (job["state"], job["problem"]["code"]) == ("failed", "report_differs")
    assert job["problem"]["differs"] == ["files.csv"]


def test_the_code_that_is_hashed_is_all_that_measuring_loads(settings: object) -> None:
    loading = (
        "import sys, worker.her2.measurement, worker.her2.decisions, models.her2.tiles\n"
        "print(*(each.__spec__.origin for name, each in sys.modules.items() "
        "if name.startswith(('models.', 'worker.her2'))), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", loading], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = {Path(line).relative_to(ROOT).as_posix() for line in done.stdout.split()}
    hashed = {path for path, _ in code_files()}
    assert "worker/her2/measurement.py" in hashed
    assert loaded - {"models/__init__.py"} <= hashed


def in_first_schema(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document as the version before wrote it."""
    old = json.loads(json.dumps(document))
    old["schema"] = "membrana.her2/1"
    old["evaluated_area_um2"] = round(old.pop("region_area_mm2") * 1e6, 2)
    del old["evaluated_area_mm2"]
    for region in old["regions"]:
        region["area_um2"] = round(region.pop("area_mm2") * 1e6, 2)
    old["heterogeneity"]["share_3plus"] = old["heterogeneity"]["share_3plus"] or 0.0
    for flag in old["flags"]:
        flag["detail"] = "As it was said before."
    old["provenance"]["software"]["code_sha256"] = "0" * 64
    return old


def test_a_report_of_the_first_schema_is_still_verified_and_its_numbers_still_count(
    service: Service,
) -> None:
    report_id = computed(service, slide_with_tumour(service))
    document = service.client.get(f"/reports/{report_id}").json()["document"]
    for change, state in (({}, "succeeded"), ({"cells": 1}, "failed")):
        old = canonical(in_first_schema(document) | change)
        with service.database.writing() as session:
            session.get_one(Report, report_id).document_sha256 = service.blobs.put(old)
        job = verified(service, report_id)
        assert job["state"] == state, job["problem"]
        if change:
            assert job["problem"]["differs"] == ["cells"]
        else:
            page = service.client.get(f"/reports/{report_id}.html")
            assert page.status_code == 200
            assert "Tumour area" in page.text
