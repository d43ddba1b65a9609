"""A learned nucleus detector through the service: frozen, named in the report, never replaced."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.her2.scores import detector
from backend.her2.scores.detector import SHIPPED, mounted
from models.her2.calibrate import document
from models.her2.protocols import load
from tests.conftest import Service
from tests.support.nuclei import Halves, mount
from tests.support.ready import code
from tests.support.scoring import REPORT, ask, computed, report_of, slide_with_tumour


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with a detector mounted."""
    path = mount(tmp_path / "mounted")
    monkeypatch.setenv("MEMBRANA_NUCLEUS_DETECTOR", str(path))
    return path


def problem_of(service: Service, report_id: str) -> str:
    service.run_jobs(REPORT)
    return report_of(service, report_id)["problem"]["code"]


def test_a_report_names_the_detector_that_found_its_nuclei(weights: Path, service: Service) -> None:
    slide_id = slide_with_tumour(service)
    report = report_of(service, computed(service, slide_id))
    frozen = mounted(weights).frozen()
    assert report["inputs"]["detector"] == frozen
    said = report["document"]["provenance"]
    assert said["detector_weights"] == frozen
    assert said["detector"] == (f"blue-peaks (torchscript, Apache-2.0), weights {frozen['sha256']}")
    assert report["document"]["cells"] > 100
    html = service.client.get(f"/reports/{report['id']}.html")
    assert frozen["sha256"] in html.text


def test_another_detector_than_the_frozen_one_computes_nothing(
    weights: Path, service: Service
) -> None:
    slide_id = slide_with_tumour(service)
    asked = ask(service, slide_id)
    assert asked.status_code == 202, asked.text
    mount(weights.parent, Halves())
    assert problem_of(service, asked.json()["report_id"]) == "detector_changed"
    weights.unlink()
    assert code(ask(service, slide_id)) == (503, "detector_missing")


def test_nuclei_are_found_by_the_shipped_network_or_by_the_rule_if_that_is_chosen(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which one is frozen with each score: an older report keeps its own, and is verified by it."""
    slide_id = slide_with_tumour(service)
    usual = report_of(service, computed(service, slide_id))
    assert usual["inputs"]["detector"] == SHIPPED.frozen()
    assert usual["document"]["provenance"]["detector_weights"] == SHIPPED.frozen()
    with monkeypatch.context() as then:
        then.setitem(service.settings.__dict__, "nucleus_detector", "log")
        ruled = report_of(service, computed(service, slide_id))
    assert ruled["inputs"]["detector"] is None
    assert ruled["document"]["provenance"]["detector"] == "log"
    cells = [each["document"]["cells"] for each in (usual, ruled)]
    assert min(cells) > 100
    for report in (usual, ruled):
        job = service.client.post(f"/reports/{report['id']}/verify").raise_for_status().json()
        service.run_jobs(REPORT)
        assert service.client.get(f"/jobs/{job['id']}").json()["state"] == "succeeded"


def test_a_score_by_another_versions_network_is_not_computed_by_this_ones(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = slide_with_tumour(service)
    older = SHIPPED.model_copy(update={"sha256": "0" * 64})
    with monkeypatch.context() as then:
        then.setattr(detector, "SHIPPED", older)
        asked = ask(service, slide_id)
    assert problem_of(service, asked.json()["report_id"]) == "detector_changed"


def calibrate(service: Service, **record: Any) -> None:
    """Give the installation a calibration, whose thresholds are the protocol's own."""
    protocol = load("asco_cap_2023_breast")
    said = document(protocol, protocol.thresholds, on="2026-01-02", record=record)
    path = service.data / "calibration" / f"{protocol.name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(said))


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_report_says_that_its_calibration_is_of_another_detector(
    weights: Path, service: Service
) -> None:
    slide_id = slide_with_tumour(service)
    calibrate(service, detector_weights=mounted(weights).frozen())
    report = report_of(service, computed(service, slide_id))
    assert report["document"]["protocol"]["calibrated"]["on"] == "2026-01-02"
    assert "calibration_detector" not in {each["code"] for each in report["document"]["flags"]}
    calibrate(service)
    report = report_of(service, computed(service, slide_id))
    [said] = [f for f in report["document"]["flags"] if f["code"] == "calibration_detector"]
    assert said["severity"] == "warning"
    assert "nuclei from the built-in rule; now they are from blue-peaks" in said["detail"]
    html = service.client.get(f"/reports/{report['id']}.html").text
    assert "Calibrated with another nucleus detector" in html
