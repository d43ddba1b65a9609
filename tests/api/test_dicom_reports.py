"""A DICOM slide, from the upload of its file to the DICOM objects of its report."""

import io

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.ann import MicroscopyBulkSimpleAnnotations
from highdicom.sr import ComprehensiveSR

from backend.her2.reports.tables import Report
from models.her2.cells import Cells
from models.her2.classes import CLASSES
from tests.conftest import Service
from tests.support.dicom_slide import UID, dicom_file
from tests.support.intake import ingested
from tests.support.ready import PREDICT, code, request
from tests.support.scoring import (
    NAMED,
    REPORT,
    box,
    computed,
    pathologist,
    report_of,
    sign,
    slide_with_tumour,
)

WIDTH, HEIGHT = 768, 640


def fetched(service: Service, report_id: str, name: str) -> bytes:
    answer = service.client.get(f"/reports/{report_id}.{name}.dcm")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/dicom"
    content: bytes = answer.content
    return content


def annotated(content: bytes) -> MicroscopyBulkSimpleAnnotations:
    return MicroscopyBulkSimpleAnnotations.from_dataset(pydicom.dcmread(io.BytesIO(content)))


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_dicom_slide_has_a_report_in_dicom(service: Service) -> None:
    slide = ingested(service, dicom_file(WIDTH, HEIGHT).read_bytes(), "slide.dcm")
    assert (slide["state"], slide["vendor"], slide["mpp"]) == ("ready", "dicom", 0.25)
    slide_id = slide["id"]
    request(service, slide_id)
    service.run_jobs(PREDICT)
    drawn = box(0, 0, 600, HEIGHT)
    service.client.post(f"/slides/{slide_id}/regions", json=drawn).raise_for_status()
    report_id = computed(service, slide_id, assay={"antibody": "4B5"})
    document = report_of(service, report_id)["document"]

    mask = hd.seg.Segmentation.from_dataset(
        pydicom.dcmread(io.BytesIO(fetched(service, report_id, "seg")))
    )
    [series] = mask.ReferencedSeriesSequence
    assert series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == f"{UID}.3"
    pixels = mask.get_total_pixel_matrix(combine_segments=True)
    assert pixels.shape == (HEIGHT, WIDTH)
    assert pixels[:, :600].mean() > 0.02
    assert not pixels[:, 600:].any()

    cells = annotated(fetched(service, report_id, "ann"))
    counts = {
        each.label.split()[0]: each.number_of_annotations for each in cells.get_annotation_groups()
    }
    assert counts == {name: count for name, count in document["counts"].items() if count}
    with service.database.reading() as session:
        stored = Cells.load(service.blobs.path(session.get_one(Report, report_id).files["cells"]))
    for group in cells.get_annotation_groups():
        which = stored.label == CLASSES.index(group.label.split()[0])
        outlines = np.stack(group.get_graphic_data(coordinate_type="2D"))[..., :2]
        np.testing.assert_array_equal(outlines, stored.membrane[which])

    said = {"edits": [{"cell": 0, "action": "exclude"}], "reason": "a lymphocyte"}
    service.client.post(f"/reports/{report_id}/cells", json=said).raise_for_status()
    service.run_jobs(REPORT)
    fewer = annotated(fetched(service, report_id, "ann"))
    assert fewer.SOPInstanceUID != cells.SOPInstanceUID
    left = sum(each.number_of_annotations for each in fewer.get_annotation_groups())
    assert left == document["cells"] - 1
    again = pydicom.dcmread(io.BytesIO(fetched(service, report_id, "seg")))
    assert again.SOPInstanceUID == mask.SOPInstanceUID

    draft = fetched(service, report_id, "sr")
    assert draft == fetched(service, report_id, "sr")
    service.client.patch(f"/slides/{slide_id}", json=NAMED).raise_for_status()
    named = pydicom.dcmread(io.BytesIO(fetched(service, report_id, "sr")))
    assert named.SOPInstanceUID != pydicom.dcmread(io.BytesIO(draft)).SOPInstanceUID
    assert sign(pathologist(service), report_id).status_code == 200
    signed = ComprehensiveSR.from_dataset(
        pydicom.dcmread(io.BytesIO(fetched(service, report_id, "sr")))
    )
    assert signed.PreliminaryFlag == "FINAL"
    said = signed.to_json()
    for word in ("24-H-1187", "A3", "slide.dcm", "Dr. Ana Osei", "pathologist"):
        assert word in said, word
    assert signed.SOPInstanceUID != pydicom.dcmread(io.BytesIO(draft)).SOPInstanceUID
    job = service.client.post(f"/reports/{report_id}/verify").json()
    service.run_jobs(REPORT)
    assert service.client.get(f"/jobs/{job['id']}").json()["state"] == "succeeded"
    [region] = signed.content.get_planar_roi_measurement_groups()
    ring = drawn["geometry"]["coordinates"][0]
    np.testing.assert_array_equal(region.roi.value, ring)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_coarse_slide_has_a_structured_report_that_names_what_it_can_not_tell_apart(
    service: Service,
) -> None:
    slide = ingested(service, dicom_file(512, 512, her2="0", mpp=0.5).read_bytes(), "coarse.dcm")
    slide_id = slide["id"]
    request(service, slide_id)
    service.run_jobs(PREDICT)
    service.client.post(f"/slides/{slide_id}/regions", json=box(0, 0, 512, 512)).raise_for_status()
    report_id = computed(service, slide_id)
    assert report_of(service, report_id)["printed_score"] == "0/0+/1+ not separated"
    made = ComprehensiveSR.from_dataset(
        pydicom.dcmread(io.BytesIO(fetched(service, report_id, "sr")))
    )
    [group] = made.content.get_image_measurement_groups()
    said = {each.name.value: each.value for each in group.get_qualitative_evaluations()}
    assert said["85319-2"].value == "LA11884-6"
    assert said["printed"].meaning == "0/0+/1+ not separated"
    fhir = service.client.get(f"/reports/{report_id}.fhir.json").json()
    values = [each["resource"].get("valueCodeableConcept") for each in fhir["entry"]]
    [category] = [each for each in values if each]
    assert category["coding"][0]["code"] == "LA11884-6"
    assert category["text"] == "0/0+/1+ not separated"


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_any_other_slide_has_none(service: Service) -> None:
    report_id = computed(service, slide_with_tumour(service))
    for name in ("seg", "ann", "sr"):
        answer = service.client.get(f"/reports/{report_id}.{name}.dcm")
        assert code(answer) == (409, "not_a_dicom_slide")
    assert code(service.client.get("/reports/none.sr.dcm")) == (404, "report_not_found")
