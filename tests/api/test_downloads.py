"""Downloads are called after case, block and slide; names are safe and never an id."""

import re
from urllib.parse import unquote

import numpy as np
import pytest

from backend.kit.downloads import disposition, file_name
from tests.conftest import Service
from tests.support.ready import patches_of, put
from tests.support.scoring import computed, pathologist, sign, slide_with_tumour

UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-")


@pytest.mark.parametrize(
    ("name", "case_id", "block", "called"),
    [
        ("HER2 12.svs", "24-H-1187", "A3", "24-H-1187_A3_HER2-12_report.pdf"),
        ("scan.ome.tiff", None, None, "scan_report.pdf"),
        ("a.svs", "24/1187", "A:3", "24-1187_A-3_a_report.pdf"),
        ("../../etc/passwd", "..", ".", "etc-passwd_report.pdf"),
        ('x";evil\r\nSet-Cookie: a=b.svs', None, None, "x-;evil-Set-Cookie-a=b_report.pdf"),
        ("Gewebe \u202egnp.exe.svs", "É 7", None, "É-7_Gewebe-gnp.exe_report.pdf"),
        ("漢字.svs", None, None, "漢字_report.pdf"),
        ("...", None, None, "report.pdf"),
        ("24-H-1187.mrxs", "24-H-1187", None, "24-H-1187_report.pdf"),
        ("v1.2.svs", None, None, "v1.2_report.pdf"),
        ("n" * 300 + ".svs", "c" * 100, "b" * 100, f"{'c' * 60}_{'b' * 60}_{'n' * 60}_report.pdf"),
    ],
)
def test_a_file_is_called_after_what_people_know(
    name: str, case_id: str | None, block: str | None, called: str
) -> None:
    found = file_name({"name": name, "case_id": case_id, "block": block}, "report", "pdf")
    assert found == called
    header = disposition(found)
    header.encode("latin-1")
    assert not set(header) & set("\r\n\x00")
    plain = re.match(r'attachment; filename="([^"]*)"', header)
    assert plain
    if plain[1] != found:
        assert unquote(header.rpartition("UTF-8''")[2]) == found


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_every_download_is_named_after_slide_and_case(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    patch = next(each for each in patches_of(service.client, slide_id) if each["x"] == 256)
    assert put(service.client, patch["id"], np.zeros((256, 256), np.uint8)).status_code == 201
    report_id = computed(service, slide_id)
    stem = service.client.get(f"/slides/{slide_id}").json()["name"].rpartition(".")[0]
    places = [
        *(f"/reports/{report_id}.{each}" for each in ("pdf", "html", "json", "csv", "tiles.csv")),
        *(f"/reports/{report_id}.{each}" for each in ("fhir.json", "geojson", "geojson?gzip=1")),
        *(f"/slides/{slide_id}/export?format={each}" for each in ("png", "coco", "ome-zarr")),
        f"/slides/{slide_id}/export/manifest.json",
        f"/slides/{slide_id}/annotations.geojson",
    ]

    def called(place: str) -> str:
        answer = service.client.get(place)
        assert answer.status_code == 200, answer.text
        header = answer.headers["Content-Disposition"]
        assert UUID.search(header) is None
        return re.findall(r'filename="([^"]*)"', header)[0]

    names = [called(place) for place in places]
    assert all(name.startswith(f"24-H-1187_A3_{stem}_") for name in names), names
    assert len(set(names)) == len(names)
    assert names[0].endswith("_HER2-v1-draft.pdf")
    assert sign(pathologist(service), report_id).status_code == 200
    service.client.patch(f"/slides/{slide_id}", json={"case_id": "other"}).raise_for_status()
    signed = called(places[0])
    assert signed == f"24-H-1187_A3_{stem}_HER2-v1.pdf", "it is called as it was signed"
