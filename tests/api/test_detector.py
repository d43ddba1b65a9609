"""A learned nucleus detector through the service: frozen, named in the report, never replaced."""

from pathlib import Path

import pytest

from backend.scores.detector import mounted
from tests.conftest import Service
from tests.nuclei import Halves, mount
from tests.ready import code
from tests.scoring import REPORT, ask, computed, report_of, slide_with_tumour


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
