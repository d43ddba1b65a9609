"""Reports by the worker's code: from pixels, masks and regions to a document, once and again."""

import gzip
import json
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from backend.her2.reports.tables import Report
from backend.job_kinds import JobKind
from backend.jobs.tables import Job
from backend.learning.predictions.tables import Prediction
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from models.cold_start import ColdStart
from models.her2 import mask_doubt
from models.her2.cells import Cells
from models.her2.pixels import RIM_UM
from models.tiling import BLENDED
from tests.conftest import Service
from tests.support.ready import patches_of, put
from tests.support.scoring import REPORT, SIDE, ask, box, computed, report_of, slide_with_tumour
from worker.commands.image_files import Picture
from worker.commands.mask_files import regions_in
from worker.context import ShuttingDown
from worker.handlers import report as handler
from worker.her2 import measurement
from worker.her2.measurement import differences
from worker.her2.slide import IGNORE, MEMBRANE, SlideMasks, lay_over
from worker.run import run_job


def files_of(service: Service, report_id: str) -> dict[str, str]:
    with service.database.reading() as session:
        return dict(session.get_one(Report, report_id).files)


def cells_of(service: Service, report_id: str, name: str = "measured") -> Cells:
    return Cells.load(service.blobs.path(files_of(service, report_id)[name]))


def test_a_report_is_computed_from_what_is_drawn(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    report_id = computed(service, slide_id, assay={"antibody": "4B5", "controls": "passed"})
    report = report_of(service, report_id)
    document = report["document"]
    assert report["state"] == "draft"
    assert document["score"] == report["score"] != "not assessable"
    assert sum(document["counts"].values()) == document["cells"] > 100
    codes = {flag["code"] for flag in document["flags"]}
    assert {"antibody_missing", "control_missing", "no_tumour_region"}.isdisjoint(codes)
    source = document["provenance"]
    regions = service.client.get(f"/slides/{slide_id}/regions").json()
    assert source["regions"] == {"sha256": regions["sha256"], "revision": 1}
    assert source["model"]["name"] == "cold-start"
    assert source["model"]["computed_by"] == [f"{ColdStart().backend}, {BLENDED.name}"]
    page = service.client.get(f"/reports/{report_id}.html").text
    computed_by = escape(f"{ColdStart().backend}, {BLENDED.name}")
    assert f"<dt>Prediction computed by</dt><dd>{computed_by}</dd>" in page
    with service.database.reading() as session:
        assert source["slide"]["sha256"] == session.get_one(Slide, slide_id).sha256
    cells = cells_of(service, report_id)
    assert len(cells) == document["cells"]
    assert cells.x.max() < 768
    packed = service.blobs.read(files_of(service, report_id)["geojson"])
    features = json.loads(gzip.decompress(packed))["features"]
    assert len(features) == 1 + len(cells)


def test_cells_cut_at_the_slides_edge_count_neither_here_nor_from_files(
    service: Service, tmp_path: Path
) -> None:
    slide_id = slide_with_tumour(service)
    report_id = computed(service, slide_id)
    cells, rim = cells_of(service, report_id), RIM_UM / 0.25
    assert cells.x.min() > rim
    assert rim < cells.y.min() < cells.y.max() < SIDE - rim
    path = tmp_path / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [box(0, 0, 768, SIDE)]}))
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    regions, _ = regions_in(Picture(tmp_path / "slide.png", image, 0.25, "0" * 64), path)
    evaluated = report_of(service, report_id)["document"]["region_area_mm2"]
    assert evaluated == pytest.approx(regions.tumour.area * 0.25**2 / 1e6)


def test_a_person_says_that_the_cytoplasm_hides_membranes(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    silent = report_of(service, computed(service, slide_id))
    said = report_of(service, computed(service, slide_id, assay={"cytoplasm_obscures": True}))
    flags = [
        {flag["code"]: flag["detail"] for flag in each["document"]["flags"]}
        for each in (silent, said)
    ]
    assert "cytoplasm_obscures" not in flags[0]
    assert "A person says" in flags[1]["cytoplasm_obscures"]


def test_a_persons_mask_stands_over_the_prediction(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    before = cells_of(service, computed(service, slide_id))
    patch = next(each for each in patches_of(service.client, slide_id) if each["x"] == 256)
    blank = np.zeros((256, 256), np.uint8)
    assert put(service.client, patch["id"], blank).status_code == 201
    report_id = computed(service, slide_id)
    after = cells_of(service, report_id)

    def stained(cells: Cells) -> int:
        middle = (abs(cells.x - patch["x"] - 128) < 90) & (abs(cells.y - patch["y"] - 128) < 90)
        return int((cells.label[middle] > 0).sum())

    assert stained(before) > 10
    assert stained(after) == 0
    document = report_of(service, report_id)["document"]
    assert document["provenance"]["masks"]["patches"] == 1


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_model_that_is_unsure_is_named_until_a_person_has_said(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = slide_with_tumour(service)

    def doubt() -> list[str]:
        document = report_of(service, computed(service, slide_id))["document"]
        return [flag["detail"] for flag in document["flags"] if flag["code"] == "mask_uncertain"]

    assert doubt() == [], "a strong tumour's proposals are mostly sure"
    monkeypatch.setattr(mask_doubt, "MOST_SHARE", 0.0)
    [words] = doubt()
    assert "probability 0.3 to 0.7" in words
    drawn = np.full((256, 256), MEMBRANE, np.uint8)
    for patch in patches_of(service.client, slide_id):
        assert put(service.client, patch["id"], drawn).status_code == 201
    assert doubt() == []


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_without_a_tumour_region_there_is_no_number(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    whole = {"type": "FeatureCollection", "features": [box(0, 0, 90, 90, "exclude")]}
    report = report_of(service, computed(service, slide_id, regions=whole))
    assert (report["score"], report["document"]["reason"]) == (
        "not assessable",
        "no_tumour_region",
    )
    failed = report_of(service, computed(service, slide_id, assay={"controls": "failed"}))
    assert failed["document"]["reason"] == "control_failed"


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_computed_twice_it_is_the_same_and_a_change_is_noticed(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    first, second = (report_of(service, computed(service, slide_id)) for _ in range(2))
    assert first["id"] != second["id"]
    assert first["document_sha256"] == second["document_sha256"]

    def verified() -> dict[str, Any]:
        job = service.client.post(f"/reports/{first['id']}/verify").json()
        service.run_jobs(REPORT)
        return service.client.get(f"/jobs/{job['id']}").json()

    assert verified()["state"] == "succeeded"
    forged = json.loads(service.blobs.read(first["document_sha256"]))
    forged["counts"]["IC"] += 1
    sha256 = service.blobs.put(json.dumps(forged).encode())
    with service.database.writing() as session:
        session.execute(
            update(Report).where(Report.id == first["id"]).values(document_sha256=sha256)
        )
    job = verified()
    assert (job["state"], job["problem"]["code"]) == ("failed", "report_differs")
    assert job["problem"]["differs"] == ["counts.IC"]


def test_a_stopped_report_goes_on_from_its_cells(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = slide_with_tumour(service)
    report_id = ask(service, slide_id).json()["report_id"]
    [job_id] = service.queued((JobKind.REPORT,))
    measured: list[int] = []
    original = measurement.measured

    def counted(*args: Any, **more: Any) -> Any:
        measured.append(1)
        return original(*args, **more)

    def stop(*_: Any) -> None:
        raise ShuttingDown

    monkeypatch.setattr(measurement, "measured", counted)
    with monkeypatch.context() as patched:
        patched.setattr(handler, "files", stop)
        run_job(job_id, service.settings)
    assert "measured" in files_of(service, report_id)
    assert report_of(service, report_id)["state"] == "computing"
    run_job(job_id, service.settings)
    assert report_of(service, report_id)["state"] == "draft"
    assert measured == [1]


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_prediction_that_changed_meanwhile_is_refused(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    answer = ask(service, slide_id).json()
    with service.database.writing() as session:
        session.execute(update(Prediction).values(sha256="0" * 64))
    service.run_jobs(REPORT)
    report = report_of(service, answer["report_id"])
    assert (report["state"], report["problem"]["code"]) == ("failed", "prediction_changed")
    with service.database.reading() as session:
        assert session.get_one(Job, answer["id"]).problem is not None
    pdf = service.client.get(f"/reports/{answer['report_id']}.pdf")
    assert (pdf.status_code, pdf.json()["code"]) == (409, "report_failed")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_masks_of_another_grid_are_read_at_the_working_resolution(settings: Settings) -> None:
    masks = SlideMasks(None, {}, None, analysis_mpp=0.5)  # type: ignore[arg-type]
    drawn = np.zeros((256, 256), np.uint8)
    drawn[10, 20] = MEMBRANE
    masks._drawn, masks._read = {(0, 0): "sha"}, lambda _: drawn
    membrane, reviewed = masks.read(0, 0, 600, 100)
    assert np.argwhere(membrane).tolist() == [[20, 40], [20, 41], [21, 40], [21, 41]]
    assert reviewed[:, :512].all()
    assert not reviewed[:, 512:].any()
    assert masks.probability(0, 0, 600, 100) is None


def test_ignored_pixels_are_left_to_the_model() -> None:
    membrane, reviewed = np.ones((300, 300), np.bool_), np.zeros((300, 300), np.bool_)
    drawn = np.zeros((256, 256), np.uint8)
    drawn[:, :10], drawn[:, 10:20] = IGNORE, MEMBRANE
    lay_over(membrane, reviewed, drawn, 100, -5)
    assert not reviewed[:100].any()
    assert membrane[:100].all()
    np.testing.assert_array_equal(np.flatnonzero(~reviewed[150]), [*range(5), *range(251, 300)])
    np.testing.assert_array_equal(np.flatnonzero(membrane[150]), [*range(15), *range(251, 300)])


def test_software_is_named_and_not_compared() -> None:
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}) == ["a.c"]
    before, after = ({"provenance": {"software": {"version": each}, "seed": 1}} for each in "12")
    assert differences(before, after) == []
    assert differences(before, {}) == ["provenance"]
