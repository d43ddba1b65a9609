"""What a signature names and asks for: slide, case and block, the signer, and what was seen."""

import hashlib
import io
import json
from typing import Any

import numpy as np
import pypdfium2
import pytest
from fhir.resources.R4B.bundle import Bundle

from backend.people.users.tables import Role
from tests.conftest import Service
from tests.support.ready import code, patches_of, put
from tests.support.scoring import (
    NAMED,
    PASSWORD,
    REPORT,
    computed,
    pathologist,
    report_of,
    sign,
    slide_with_tumour,
)

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
REVIEW = "Signed without a review in Membrana"


def read(service: Service, report_id: str, ending: str) -> bytes:
    answer = service.client.get(f"/reports/{report_id}.{ending}")
    assert answer.status_code == 200, answer.text
    return answer.content


def printed(service: Service, report_id: str) -> str:
    """Return the words of the PDF."""
    with pypdfium2.PdfDocument(io.BytesIO(read(service, report_id, "pdf"))) as document:
        pages = [page.get_textpage().get_text_bounded() for page in document]
    return " ".join(" ".join(pages).split())


def test_what_is_missing_is_asked_for_before_anything_is_signed(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    bare = {"case_id": None, "block": None}
    service.client.patch(f"/slides/{slide_id}", json=bare).raise_for_status()
    report_id = computed(service, slide_id)
    signer = pathologist(service, full_name=None)
    refused = sign(signer, report_id)
    assert code(refused) == (422, "report_incomplete")
    said = refused.json()
    assert said["missing"] == ["case_id", "block", "full_name"]
    assert [each["where"].split(".")[-1] for each in said["errors"]] == said["missing"]
    assert "which case" in said["detail"]
    assert "your full name" in said["detail"]
    assert report_of(service, report_id)["state"] == "draft"

    signer.patch(f"/slides/{slide_id}", json={"case_id": "24-H-1187"}).raise_for_status()
    own = signer.patch("/users/me", json={"full_name": " Dr. Ana Osei "})
    assert own.json()["full_name"] == "Dr. Ana Osei"
    assert signer.get("/users/me").json() == own.json()
    assert sign(signer, report_id).json()["missing"] == ["block"]
    signer.patch(f"/slides/{slide_id}", json={"block": "A3"}).raise_for_status()
    assert report_of(service, report_id)["slide"]["block"] == "A3", "a draft follows the slide"
    assert sign(signer, report_id).status_code == 200


def test_a_block_that_was_said_with_the_assay_is_enough(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    service.client.patch(f"/slides/{slide_id}", json={"block": None}).raise_for_status()
    report_id = computed(service, slide_id, assay={"block": "B7"})
    assert sign(pathologist(service), report_id).status_code == 200
    assert "B7" in read(service, report_id, "html").decode()


def test_every_format_names_slide_case_block_and_signer(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    name = service.client.get(f"/slides/{slide_id}").json()["name"]
    report_id = computed(service, slide_id)
    signer = pathologist(service)
    signed = sign(signer, report_id).json()
    assert signed["signature"]["full_name"] == "Dr. Ana Osei"
    assert signed["signature"]["role"] == "pathologist"
    assert signed["signature"]["without_review"] is True
    html, pdf = read(service, report_id, "html").decode(), printed(service, report_id)
    for text in (html, pdf):
        for word in (name, "24-H-1187", "A3", "Dr. Ana Osei", "pathologist", REVIEW):
            assert word in text, word
    whole = json.loads(read(service, report_id, "json"))
    assert {"name": name, **NAMED}.items() <= whole["slide"].items()
    assert whole["signature"]["full_name"] == "Dr. Ana Osei"
    assert whole["signature"]["without_review"] is True
    bundle = read(service, report_id, "fhir.json")
    Bundle.model_validate_json(bundle)
    for word in (name, "24-H-1187", "Block A3", "Dr. Ana Osei, pathologist", REVIEW):
        assert word in bundle.decode(), word


def test_names_and_roles_of_later_change_nothing_that_is_signed(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    report_id = computed(service, slide_id)
    signer = pathologist(service)
    assert sign(signer, report_id).status_code == 200
    formats = ("pdf", "html", "json", "fhir.json")
    before = {ending: hashlib.sha256(read(service, report_id, ending)) for ending in formats}
    me = signer.get("/users/me").json()["id"]
    changed = {"role": "admin", "full_name": "Dr. Ana Osei-Mensah"}
    service.client.patch(f"/users/{me}", json=changed).raise_for_status()
    called = {"case_id": "another", "block": "B1"}
    service.client.patch(f"/slides/{slide_id}", json=called).raise_for_status()
    after = {ending: hashlib.sha256(read(service, report_id, ending)) for ending in formats}
    assert {name: each.hexdigest() for name, each in before.items()} == {
        name: each.hexdigest() for name, each in after.items()
    }
    service.client.post(f"/reports/{report_id}/verify").raise_for_status()
    service.run_jobs(REPORT)
    jobs = service.client.get("/jobs", params={"kind": "verify_report"}).json()["items"]
    assert [each["state"] for each in jobs] == ["succeeded"]


def test_signing_what_nobody_has_seen_takes_an_explicit_word(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    report_id = computed(service, slide_id)
    assert report_of(service, report_id)["seen"]["anything"] is False
    signer = pathologist(service)
    refused = sign(signer, report_id, without_review=False)
    assert code(refused) == (422, "nothing_seen")
    assert "Nobody has reviewed a patch" in refused.json()["detail"]
    assert report_of(service, report_id)["state"] == "draft"
    assert sign(signer, report_id, without_review=True).status_code == 200
    [entry] = service.client.get("/audit", params={"action": "report.signed"}).json()["items"]
    assert entry["details"]["without_review"] is True


def test_a_review_beside_the_region_is_none_of_the_report(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    [region] = service.client.get(f"/slides/{slide_id}/regions").json()["features"]
    outline = [[0, 0], [480, 0], [480, 768], [0, 768], [0, 0]]
    region["geometry"] = {"type": "Polygon", "coordinates": [outline]}
    place = f"/slides/{slide_id}/regions/{region['id']}"
    etag = service.client.get(f"/slides/{slide_id}/regions").headers["ETag"]
    service.client.put(place, json=region, headers={"If-Match": etag}).raise_for_status()
    far = max(patches_of(service.client, slide_id), key=lambda each: each["x"] + each["y"])
    assert far["x"] > 480
    assert put(service.client, far["id"], np.zeros((256, 256), np.uint8)).status_code == 201
    report_id = computed(service, slide_id)
    report = report_of(service, report_id)
    assert report["inputs"]["masks"]["patches"] == 1
    assert report["document"]["reviewed_share"] == 0
    assert report["seen"] == {"patches": 0, "cell_decisions": 0, "anything": False}
    refused = sign(pathologist(service), report_id, without_review=False)
    assert code(refused) == (422, "nothing_seen")


@pytest.mark.parametrize("way", ["patch", "cell of the slide", "cell of the report"])
def test_one_reviewed_patch_or_decided_cell_is_something_seen(service: Service, way: str) -> None:
    slide_id = slide_with_tumour(service)
    if way == "patch":
        patch = next(each for each in patches_of(service.client, slide_id) if each["x"] == 256)
        mask = np.zeros((256, 256), np.uint8)
        assert put(service.client, patch["id"], mask).status_code == 201
    report_id = computed(service, slide_id)
    if way == "cell of the report":
        said = {"edits": [{"cell": 0, "action": "exclude"}], "reason": "a lymphocyte"}
        service.client.post(f"/reports/{report_id}/cells", json=said).raise_for_status()
        service.run_jobs(REPORT)
    if way == "cell of the slide":
        service.client.put(f"/slides/{slide_id}/score", json={}).raise_for_status()
        service.run_jobs()
        box = {"x": 0, "y": 0, "width": 300, "height": 300}
        cell = service.client.get(f"/slides/{slide_id}/cells", params=box).json()["items"][0]
        decision = {"x": cell["x"], "y": cell["y"], "action": "exclude"}
        service.client.post(
            f"/slides/{slide_id}/cells/decisions",
            json={"decisions": [decision], "reason": "a fold"},
        ).raise_for_status()
        report_id = computed(service, slide_id)
    assert report_of(service, report_id)["seen"]["anything"] is True
    signed = sign(pathologist(service), report_id, without_review=False)
    assert signed.status_code == 200, signed.text
    assert signed.json()["signature"]["without_review"] is False
    assert REVIEW not in read(service, report_id, "html").decode()


def test_full_names_are_for_admins_to_set_and_for_people_to_say_of_themselves(
    service: Service,
) -> None:
    new: dict[str, Any] = {"username": "osei", "role": "pathologist", "password": PASSWORD}
    made = service.client.post("/users", json={**new, "full_name": "Dr. A. Osei"}).json()
    assert made["full_name"] == "Dr. A. Osei"
    place = f"/users/{made['id']}"
    service.client.patch(place, json={"full_name": "Dr. Ana Osei"}).raise_for_status()
    assert service.client.get(place).json()["full_name"] == "Dr. Ana Osei"
    viewer = service.client_of(Role.VIEWER)
    assert code(viewer.patch(place, json={"full_name": "Me"})) == (403, "not_allowed")
    assert code(viewer.patch("/users/me", json={"full_name": " "})) == (422, "invalid")
    assert code(viewer.patch("/users/me", json={"role": "admin"})) == (422, "invalid")
    assert viewer.patch("/users/me", json={"full_name": "V. Iewer"}).status_code == 200
