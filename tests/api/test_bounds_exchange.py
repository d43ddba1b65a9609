"""Drawings from QuPath, which counts from the scanned part, lie on the same tissue here."""

import gzip
import json
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from backend.slides.catalogue.tables import Slide
from tests.api.test_vendor_slides import MPP, SIDE, picture
from tests.conftest import Service
from tests.support.intake import INGEST, upload
from tests.support.ready import PREDICT, patches_of, pixels
from tests.support.scoring import box, computed
from tests.support.vendor_slides import leica_scn

LEFT, TOP = 512, 256
# within the patch at 256, 512 of the scanned part
SQUARE = [[300, 520], [400, 520], [400, 600], [300, 600], [300, 520]]
DRAWN: dict[str, Any] = {
    "type": "Feature",
    "geometry": {"type": "Polygon", "coordinates": [SQUARE]},
    "properties": {"objectType": "annotation", "classification": {"name": "Membrane"}},
}


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("from_bounds", [True, False])
def test_masks_lie_on_the_tissue_that_qupath_shows(service: Service, *, from_bounds: bool) -> None:
    """Also of a slide that was measured before the scanned part was the slide."""
    slide = upload(service, leica_scn(picture(), MPP, left=LEFT, top=TOP), "case.scn")
    with service.database.writing() as session:
        session.execute(update(Slide).values(counts_from_bounds=from_bounds))
    service.run_jobs(INGEST)
    place = f"/slides/{slide['id']}/annotations.geojson"
    shown = service.client.get(f"/slides/{slide['id']}").json()
    assert shown["width"] == (SIDE if from_bounds else 2 * SIDE)
    told = service.client.post(place, json=DRAWN)
    assert told.status_code == 200, told.text
    [item] = told.json()["items"]
    [patch] = [
        each for each in patches_of(service.client, slide["id"]) if each["id"] == item["patch_id"]
    ]
    corner = (0, 0) if from_bounds else (LEFT, TOP)
    assert (patch["x"], patch["y"]) == (256 + corner[0], 512 + corner[1])
    mask = pixels(service.client.get(f"/patches/{patch['id']}/annotation.png"))
    expected = np.zeros((256, 256), np.uint8)
    expected[520 - 512 : 600 - 512, 300 - 256 : 400 - 256] = 255
    np.testing.assert_array_equal(mask, expected)
    image = pixels(service.client.get(f"/patches/{patch['id']}/image.png"))
    np.testing.assert_array_equal(image, picture()[512:768, 256:512])
    [back] = service.client.get(place).json()["features"]
    ring = np.array(back["geometry"]["coordinates"][0])
    assert (ring.min(0).tolist(), ring.max(0).tolist()) == ([300, 520], [400, 600])


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("from_bounds", [True, False])
def test_a_reports_outlines_lie_on_the_tissue_that_qupath_shows(
    service: Service, *, from_bounds: bool
) -> None:
    slide = upload(service, leica_scn(picture(), MPP, left=LEFT, top=TOP), "case.scn", case_id="K")
    with service.database.writing() as session:
        session.execute(update(Slide).values(counts_from_bounds=from_bounds))
    service.run_jobs(INGEST)
    service.run_jobs(PREDICT)
    x, y = (0, 0) if from_bounds else (LEFT, TOP)
    tumour = box(x + 100, y + 100, x + 500, y + 500)
    service.client.post(f"/slides/{slide['id']}/regions", json=tumour).raise_for_status()
    report_id = computed(service, slide["id"])
    for query in ({}, {"gzip": "true"}):
        answer = service.client.get(f"/reports/{report_id}.geojson", params=query)
        content = gzip.decompress(answer.content) if query else answer.content
        region, *cells = json.loads(content)["features"]
        assert (
            region["geometry"]["coordinates"] == box(100, 100, 500, 500)["geometry"]["coordinates"]
        )
        places = np.concatenate([each["nucleusGeometry"]["coordinates"][0] for each in cells])
        assert len(cells) > 3
        assert places.min() > 50
        assert places.max() < 550


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("from_bounds", [True, False])
def test_regions_lie_on_the_tissue_that_qupath_shows(
    service: Service, *, from_bounds: bool
) -> None:
    """What QuPath has classified counts as there; what says `kind` counts as the service does."""
    slide = upload(service, leica_scn(picture(), MPP, left=LEFT, top=TOP), "case.scn", case_id="K")
    with service.database.writing() as session:
        session.execute(update(Slide).values(counts_from_bounds=from_bounds))
    service.run_jobs(INGEST)
    service.run_jobs(PREDICT)
    x, y = (0, 0) if from_bounds else (LEFT, TOP)
    shown = service.client.get(f"/slides/{slide['id']}").json()
    assert shown["counts_from_bounds"] == from_bounds
    place = f"/slides/{slide['id']}/regions"
    drawn = box(100, 100, 500, 500)
    wanted = box(x + 100, y + 100, x + 500, y + 500)["geometry"]
    drawn["properties"] = {"objectType": "annotation", "classification": {"name": "Tumor"}}
    made = service.client.post(place, json=drawn)
    assert made.status_code == 201, made.text
    [region] = made.json()["features"]
    assert region["geometry"] == wanted
    # to QuPath and back it is the same region; sent back as it was got, too
    opened = service.client.get(place, params={"qupath": True})
    assert opened.headers["Content-Type"] == "application/geo+json"
    assert opened.headers["ETag"] == made.headers["ETag"]
    assert opened.json()["features"][0]["geometry"] == drawn["geometry"]
    for sent in (opened.json(), made.json()):
        match = {"If-Match": made.headers["ETag"]}
        back = service.client.put(place, json=sent, headers=match)
        assert back.json()["features"] == [region], back.text
    # and so with a report's own regions
    other = {**drawn, "properties": {"classification": {"name": "Tumor"}}}
    report_id = computed(service, slide["id"], regions=other)
    feature = service.client.get(f"/reports/{report_id}.geojson").json()["features"][0]
    assert feature["geometry"] == drawn["geometry"]
    outside = {**drawn, "geometry": box(-100, 100, 500, 500)["geometry"]}
    refused = service.client.post(place, json=outside)
    assert refused.status_code == (422 if from_bounds else 201), refused.text
