"""A signed category that was forged in the database, with every hash worked out again, is told."""

from dataclasses import replace
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text

from backend.her2.reports import loading, signing
from backend.her2.reports.tables import Report
from backend.kit import signing_key
from backend.kit.db.migrate import config
from tests.conftest import Service
from tests.support import before_keys
from tests.support.scoring import computed, pathologist, sign, slide_with_tumour

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def check(service: Service, report_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = (
        service.client.get(f"/reports/{report_id}/signature").raise_for_status().json()
    )
    return answer


def change(service: Service, report_id: str, **values: Any) -> None:
    """Change a signed row as somebody can who owns the database file: without its guards."""
    changes = ", ".join(f"{name} = :{name}" for name in values)
    with service.database.writing() as session:
        session.execute(text("DROP TRIGGER IF EXISTS reports_signed_update"))
        session.execute(
            text(f"UPDATE reports SET {changes} WHERE id = :id"), {"id": report_id, **values}
        )


def forge_category(service: Service, report_id: str) -> str:
    """Put 0 in the place of the signed category and work the signature's hash out again."""
    with service.database.reading() as session:
        report = session.get_one(Report, report_id)
        forged = replace(loading.signature_of(report), score="0")
        sha256 = signing.bound(session, report, forged, str(report.signed_by), report.ish)
    change(service, report_id, signed_score="0", signature_sha256=sha256)
    return sha256


def test_hashes_worked_out_again_forge_nothing(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    report_id, draft = computed(service, slide_id), computed(service, slide_id)
    assert sign(pathologist(service), report_id).status_code == 200
    assert check(service, report_id)["standing"] == "valid"
    assert check(service, draft)["standing"] == "unsigned"
    signature = service.client.get(f"/reports/{report_id}").json()["signature"]
    assert service.client.get(f"/reports/{report_id}.json").json()["signature"]["ed25519"]

    sha256 = forge_category(service, report_id)
    told = check(service, report_id)
    assert told["standing"] == "not_valid"
    assert told["findings"] == [
        "The audit trail knows of another signature of this report.",
        "The installation's key has not signed this: it was forged.",
    ]

    other = signing_key.create(service.settings.data / "own.pem")
    statement = signing.statement(report_id, sha256, signature["pdf_sha256"])
    change(service, report_id, signature_key=other.name, signature_ed25519=other.sign(statement))
    assert any("not trusted here" in each for each in check(service, report_id)["findings"])

    change(service, report_id, signature_key=None, signature_ed25519=None)
    findings = " ".join(check(service, report_id)["findings"])
    assert "taken away or replaced" in findings


def test_what_was_signed_before_there_was_a_key_stays_what_it_is(service: Service) -> None:
    report_id = computed(service, slide_with_tumour(service))
    assert sign(pathologist(service), report_id).status_code == 200
    before_keys.downgrade(service, "0023")
    command.upgrade(config(), "head")
    assert check(service, report_id) == {
        "report_id": report_id,
        "standing": "hash_only",
        "key": None,
        "findings": [],
    }
    forge_category(service, report_id)
    assert check(service, report_id)["findings"] == [
        "The audit trail knows of another signature of this report."
    ]
