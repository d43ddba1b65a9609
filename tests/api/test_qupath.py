"""Regions and cells go to QuPath and come back: nothing is lost on the way, nothing moves.

QuPath itself is not here. `read_object` follows what its reader takes from a feature, member by
member (qupath.lib.io.QuPathTypeAdapters, ROITypeAdapters, v0.5), and as strictly.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import shapely

from backend.exchange.reports import words
from backend.her2.classes import CLASS_NAMES
from backend.her2.reports.tables import Report
from models.her2.cells import Cells
from models.her2.classes import CLASSES
from tests.conftest import Service
from tests.support.ready import ready_slide
from tests.support.scoring import REPORT, box, computed, slide_with_tumour
from worker.exporters.cells_geojson import MEASURES

TENTH = 0.051
"""Px: coordinates are written with one decimal."""


@dataclass(frozen=True)
class PathObject:
    """What QuPath makes of a feature."""

    kind: str
    id: UUID
    roi: shapely.Geometry
    nucleus: shapely.Geometry | None
    name: str | None
    path_class: str | None
    colour: tuple[int, int, int] | None
    measurements: dict[str, float]
    locked: bool


def read_object(feature: dict[str, Any]) -> PathObject:
    assert feature["type"] == "Feature"
    said = feature["properties"]
    assert isinstance(said.get("name", ""), str)
    kind = said["objectType"]
    assert kind in {"annotation", "cell", "detection", "tile"}
    given = said.get("classification") or {}
    measured = {name: float(value) for name, value in said.get("measurements", {}).items()}
    nucleus = feature.get("nucleusGeometry")
    return PathObject(
        kind=kind,
        id=UUID(feature["id"]),
        roi=shapely.from_geojson(json.dumps(feature["geometry"])),
        nucleus=shapely.from_geojson(json.dumps(nucleus)) if nucleus else None,
        name=said.get("name"),
        path_class=given.get("name"),
        colour=tuple(given["color"]) if given else None,
        measurements=measured,
        locked=said.get("isLocked", False),
    )


def exported(service: Service, report_id: str) -> list[dict[str, Any]]:
    answer = service.client.get(f"/reports/{report_id}.geojson")
    assert answer.status_code == 200, answer.text
    whole = answer.json()
    assert whole["type"] == "FeatureCollection"
    return whole["features"]


def cells_of(service: Service, report_id: str) -> Cells:
    with service.database.reading() as session:
        sha256 = session.get_one(Report, report_id).files["cells"]
    return Cells.load(service.blobs.path(sha256))


def corners(objects: list[PathObject], which: str) -> np.ndarray:
    rings = [shapely.get_coordinates(getattr(each, which))[:-1] for each in objects]
    return np.array(rings)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_cells_and_regions_come_back_as_they_were(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    service.client.post(f"/slides/{slide_id}/regions", json=box(0, 0, 90, 90, "exclude"))
    report_id = computed(service, slide_id)
    said = {"edits": [{"cell": 0, "action": "exclude"}], "reason": "a lymphocyte"}
    service.client.post(f"/reports/{report_id}/cells", json=said).raise_for_status()
    service.run_jobs(REPORT)
    features = exported(service, report_id)
    read = [read_object(each) for each in features]
    found = [each for each in read if each.kind == "cell"]
    cells = cells_of(service, report_id)
    assert len(found) == len(cells) > 100
    assert [int(str(each.name)) for each in found] == list(range(len(cells)))
    assert len({each.id for each in read}) == len(read)
    assert found[0].path_class == words.EXCLUDED
    for each, label in list(zip(found, cells.label.tolist(), strict=True))[1:]:
        name = CLASSES[label]
        assert each.path_class == f"{name} {CLASS_NAMES[name]}"
        assert "#{:02x}{:02x}{:02x}".format(*each.colour) == words.COLOURS[name]
    for name, column in MEASURES.items():
        values = [each.measurements[name] for each in found]
        np.testing.assert_allclose(values, getattr(cells, column), atol=6e-5, err_msg=name)
    np.testing.assert_allclose(corners(found, "roi"), cells.membrane, atol=TENTH)
    np.testing.assert_allclose(corners(found, "nucleus"), cells.nucleus, atol=TENTH)

    drawn = [each for each in read if each.kind == "annotation"]
    assert sorted(str(each.path_class) for each in drawn) == ["Exclude", "Tumour"]
    assert all(each.locked for each in drawn)
    place = f"/slides/{slide_id}/regions"
    before = service.client.get(place)
    annotations = [each for each in features if each["properties"]["objectType"] == "annotation"]
    whole = {"type": "FeatureCollection", "features": annotations}
    after = service.client.put(place, json=whole, headers={"If-Match": before.headers["ETag"]})
    assert after.status_code == 200, after.text
    assert after.json()["features"] == before.json()["features"]


def written_by_qupath(
    path_class: str | None, geometry: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """A feature as QuPath writes an annotation: no kind of ours, its own names and colours."""
    classification = (
        {"classification": {"name": path_class, "color": [200, 0, 0]}} if path_class else {}
    )
    return {
        "type": "Feature",
        "id": "5f8e7a0c-5d4a-4f39-9e6e-3f8a2f6a9b11",
        "geometry": geometry,
        "properties": {"objectType": "annotation", **classification, **more},
    }


def square(left: float, side: float) -> list[list[float]]:
    right = left + side
    return [[left, left], [right, left], [right, right], [left, right], [left, left]]


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_annotations_that_qupath_wrote_are_regions(service: Service) -> None:
    place = f"/slides/{ready_slide(service)}/regions"
    with_hole = {"type": "Polygon", "coordinates": [square(10, 300), square(50, 60)]}
    in_parts = {
        "type": "MultiPolygon",
        "coordinates": [[square(320.5, 40.25)], [square(380, 50)]],
        # of a stack or a series; a slide has one plane
        "plane": {"c": -1, "z": 0, "t": 0},
    }
    tumour = written_by_qupath("Tumor", with_hole, name="invasive front", isLocked=True)
    left_out = written_by_qupath("Ignore*", in_parts)
    left_out["id"] = "5f8e7a0c-5d4a-4f39-9e6e-3f8a2f6a9b12"
    whole = {"type": "FeatureCollection", "features": [tumour, left_out]}
    answer = service.client.post(place, json=whole)
    assert answer.status_code == 201, answer.text
    front, ignored = sorted(answer.json()["features"], key=lambda each: each["id"])
    assert (front["id"], front["properties"]["kind"]) == (tumour["id"], "tumour")
    assert front["properties"]["name"] == "invasive front"
    assert ignored["properties"]["kind"] == "exclude"
    for given, kept in ((with_hole, front), (in_parts, ignored)):
        same = [shapely.from_geojson(json.dumps(each)) for each in (given, kept["geometry"])]
        assert same[0].equals(same[1])
        assert kept["geometry"]["type"] == given["type"]
    unnamed = written_by_qupath(None, with_hole)
    refused = service.client.post(place, json=unnamed)
    assert (refused.status_code, refused.json()["code"]) == (422, "region_kind")
