"""Regions: drawn, changed, kept in every revision, and refused in plain words."""

import hashlib
import json
from typing import Any

import pytest
from httpx import Response

from backend.her2.regions.schemas import RegionFeature
from backend.people.users.tables import Role
from tests.conftest import Service
from tests.support.ready import code, ready_slide
from tests.support.shapes import held

SQUARE = [[100, 100], [300, 100], [300, 300], [100, 300], [100, 100]]
HOLE = [[150, 150], [150, 200], [200, 200], [200, 150], [150, 150]]


def feature(*rings: Any, kind: Any = "tumour", **more: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": list(rings or [SQUARE])},
        "properties": {"kind": kind, "name": "left lobe"},
        **more,
    }


def post(service: Service, slide_id: str, content: Any, **headers: str) -> Response:
    return service.client.post(f"/slides/{slide_id}/regions", json=content, headers=headers)


def test_regions_are_added_changed_and_removed_and_every_set_is_kept(service: Service) -> None:
    slide_id = ready_slide(service)
    place = f"/slides/{slide_id}/regions"
    empty = service.client.get(place)
    assert empty.json()["features"] == []
    assert empty.headers["ETag"] == '"r0"'

    made = post(service, slide_id, feature(SQUARE, HOLE))
    assert made.status_code == 201, made.text
    [tumour] = made.json()["features"]
    held(tumour, RegionFeature)
    assert tumour["geometry"]["coordinates"] == [SQUARE, HOLE]
    # 200² px less 50² px at 0.25 µm
    assert tumour["properties"]["area_um2"] == (200**2 - 50**2) / 16
    assert made.headers["ETag"] == '"r1"'

    both = post(service, slide_id, feature(kind="exclude"), **{"If-Match": '"r1"'}).json()
    assert [each["properties"]["kind"] for each in both["features"]] == ["tumour", "exclude"]

    moved = feature([[0, 0], [768, 0], [768, 512], [0, 0]])
    changed = service.client.put(
        f"{place}/{tumour['id']}", json=moved, headers={"If-Match": '"r2"'}
    )
    assert changed.status_code == 200, changed.text
    [new] = [each for each in changed.json()["features"] if each["id"] == tumour["id"]]
    assert new["geometry"] == moved["geometry"]

    gone = service.client.delete(f"{place}/{tumour['id']}", headers={"If-Match": '"r3"'})
    assert [each["properties"]["kind"] for each in gone.json()["features"]] == ["exclude"]
    assert gone.headers["ETag"] == '"r4"'

    listed = service.client.get(f"{place}/revisions").json()["items"]
    assert [(each["revision"], each["change"], each["region_count"]) for each in listed] == [
        (4, "removed", 1),
        (3, "changed", 2),
        (2, "added", 2),
        (1, "added", 1),
    ]
    old = service.client.get(place, params={"revision": 1}).json()
    assert (old["features"], old["sha256"]) == (made.json()["features"], made.json()["sha256"])
    trail = service.client.get("/audit", params={"subject_id": slide_id}).json()["items"]
    assert [each["action"] for each in trail] == [
        "regions.removed",
        "regions.changed",
        "regions.added",
        "regions.added",
    ]


def test_the_hash_is_of_the_regions_and_not_of_their_story(service: Service) -> None:
    slide_id = ready_slide(service)
    one = feature(id="0192d5f1-0000-7000-8000-000000000001")
    two = feature(HOLE, kind="artefact", id="0192d5f1-0000-7000-8000-000000000002")
    first = post(service, slide_id, {"type": "FeatureCollection", "features": [two, one]}).json()
    kept = service.blobs.read(first["sha256"])
    assert hashlib.sha256(kept).hexdigest() == first["sha256"]
    assert [each["id"] for each in json.loads(kept)["features"]] == [one["id"], two["id"]]

    other_id = ready_slide(service, seed=4)
    post(service, other_id, one)
    second = post(service, other_id, two).json()
    assert (second["sha256"], second["revision"]) == (first["sha256"], 2)
    again = service.client.put(
        f"/slides/{other_id}/regions",
        json={"type": "FeatureCollection", "features": [one, two]},
        headers={"If-Match": '"r2"'},
    )
    assert again.json()["revision"] == 2


def test_who_comes_second_is_told_and_loses_nothing(service: Service) -> None:
    slide_id = ready_slide(service)
    place = f"/slides/{slide_id}/regions"
    region = post(service, slide_id, feature()).json()["features"][0]
    post(service, slide_id, feature(HOLE))
    late = service.client.delete(f"{place}/{region['id']}", headers={"If-Match": '"r1"'})
    assert code(late) == (412, "stale")
    assert (late.json()["revision"], late.headers["ETag"]) == (2, '"r2"')
    current = late.json()["current"]
    there = service.client.get(place).json()
    assert (current["revision"], current["sha256"]) == (2, there["sha256"])
    assert [each["id"] for each in current["features"]] == [
        each["id"] for each in there["features"]
    ]
    assert code(service.client.delete(f"{place}/{region['id']}")) == (428, "precondition_required")
    assert code(service.client.put(place, json=feature())) == (428, "precondition_required")
    assert code(post(service, slide_id, feature(), **{"If-Match": '"r1"'})) == (412, "stale")
    unknown = service.client.delete(f"{place}/{slide_id}", headers={"If-Match": '"r2"'})
    assert code(unknown) == (404, "region_not_found")
    assert len(service.client.get(place).json()["features"]) == 2


def test_qupath_regions_come_in_with_their_own_words(service: Service) -> None:
    slide_id = ready_slide(service)
    drawn = {
        "type": "Feature",
        "id": "5f8e7a0c-5d4a-4f39-9e6e-3f8a2f6a9b11",
        "geometry": {"type": "Polygon", "coordinates": [SQUARE]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": "Tumor", "color": [200, 0, 0]},
        },
    }
    [region] = post(service, slide_id, [drawn]).json()["features"]
    assert (region["id"], region["properties"]["kind"]) == (drawn["id"], "tumour")
    assert region["properties"]["classification"]["name"] == "Tumour"
    assert code(post(service, slide_id, drawn)) == (422, "region_exists")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (feature([[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]), "self_intersection"),
        (feature([[0, 0], [100, 0], [100, 100], [50, 0], [0, 100]]), "self_intersection"),
        (feature(SQUARE, [[400, 400], [450, 400], [450, 450], [400, 400]]), "region_invalid"),
        (feature([[0, 0], [100, 0], [200, 0], [0, 0]]), "self_intersection"),
        (feature([[700, 0], [800, 0], [800, 100], [700, 0]]), "outside_slide"),
        (feature([[10, -3], [80, 0], [80, 100], [10, -3]]), "outside_slide"),
        (feature([[0, 0], [10, 10]]), "too_few_vertices"),
        (feature([[x % 700, x / 100] for x in range(10_050)]), "too_many_vertices"),
        (feature([[0, 0], ["a", 10], [3, 4]]), "not_geojson"),
        (feature([[0, 0], [10**400, 10], [3, 4]]), "not_geojson"),
        (feature([[0, 0], [True, 10], [3, 4]]), "not_geojson"),
        (feature(kind="stroma"), "region_kind"),
        (feature(kind=None), "region_kind"),
        (
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}},
            "not_a_polygon",
        ),
        ({**feature(), "geometry": {"type": "Polygon"}}, "not_geojson"),
        ({"type": "FeatureCollection", "features": [feature()] * 501}, "too_many_regions"),
        ({"features": 3}, "not_geojson"),
        ("tumour", "not_geojson"),
        ([None], "not_geojson"),
    ],
)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_what_is_no_region_is_refused(service: Service, content: Any, problem: str) -> None:
    slide_id = ready_slide(service)
    answer = post(service, slide_id, content)
    assert code(answer) == (422, problem)
    assert answer.json()["detail"].endswith(".")
    assert service.client.get(f"/slides/{slide_id}/regions").json()["revision"] == 0


def test_a_region_may_end_on_the_slides_edge(service: Service) -> None:
    slide_id = ready_slide(service)
    ring = [[-0.5, 0], [768.4, 0], [768, 512.9], [0, 512], [-0.5, 0]]
    [region] = post(service, slide_id, feature(ring)).json()["features"]
    assert region["geometry"]["coordinates"] == [[[0, 0], [768, 0], [768, 512], [0, 512], [0, 0]]]


def test_viewers_read_and_do_not_draw(service: Service) -> None:
    slide_id = ready_slide(service)
    viewer = service.client_of(Role.VIEWER)
    assert viewer.get(f"/slides/{slide_id}/regions").status_code == 200
    refused = viewer.post(f"/slides/{slide_id}/regions", json=feature())
    assert code(refused) == (403, "not_allowed")
    assert code(service.client.get("/slides/none/regions")) == (404, "slide_not_found")


def of_qupath(name: str | None, geometry: Any = None, **properties: Any) -> dict[str, Any]:
    """A feature as QuPath writes it, with the class of that name or none."""
    said = {"classification": {"name": name, "color": [1, 2, 3]}} if name else {}
    return {
        "type": "Feature",
        "geometry": geometry or {"type": "Polygon", "coordinates": [SQUARE]},
        "properties": {"objectType": "annotation", **said, **properties},
    }


LINE = {"type": "LineString", "coordinates": [[0, 0], [9, 9]]}
PARTS = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [[[9, 9], [20, 9], [9, 20]]]]}
WHOLE_EXPORT = [
    of_qupath("Stroma"),
    of_qupath("Tumor"),
    of_qupath(None),
    of_qupath(None),
    of_qupath("Tumor: Positive"),
    of_qupath("Necrosis"),
    of_qupath("Ignore*", PARTS),
    of_qupath("Tumor", LINE),
    of_qupath("Tumor", {"type": "Polygon", "coordinates": [HOLE], "isEllipse": True}),
    of_qupath(None, {"type": "Point", "coordinates": [1, 2]}),
    of_qupath("Tumor", objectType="cell", nucleusGeometry=LINE),
    of_qupath("Tumor", {"type": "GeometryCollection", "geometries": []}),
]
LEFT = {
    "Stroma": 1,
    "(unclassified)": 2,
    "(unclassified) (Point)": 1,
    "Tumor: Positive": 1,
    "Necrosis": 1,
    "Tumor (LineString)": 1,
    "Tumor (cell)": 1,
    "Tumor (GeometryCollection)": 1,
}


@pytest.mark.parametrize("shape", ["list", "collection"])
def test_a_whole_export_of_qupath_gives_its_tumour_and_names_the_rest(
    service: Service, shape: str
) -> None:
    slide_id = ready_slide(service)
    many = [of_qupath("Positive", objectType="detection")] * 600
    sent: Any = [*WHOLE_EXPORT, *many]
    if shape == "collection":
        sent = {"type": "FeatureCollection", "features": sent}
    made = post(service, slide_id, sent)
    assert made.status_code == 201, made.text
    kinds = sorted(each["properties"]["kind"] for each in made.json()["features"])
    assert kinds == ["exclude", "tumour", "tumour"]
    assert made.json()["features_left"] == {**LEFT, "Positive (detection)": 600}
    [excluded] = [
        each for each in made.json()["features"] if each["properties"]["kind"] == "exclude"
    ]
    assert [len(rings) for rings in excluded["geometry"]["coordinates"]] == [2, 1]
    place = f"/slides/{slide_id}/regions"
    there = service.client.get(place)
    assert there.json()["features_left"] == {}
    replaced = service.client.put(
        place, json=[WHOLE_EXPORT[0], WHOLE_EXPORT[1]], headers={"If-Match": there.headers["ETag"]}
    )
    assert len(replaced.json()["features"]) == 1
    assert replaced.json()["features_left"] == {"Stroma": 1}


def test_an_export_without_any_region_is_refused_and_replaces_nothing(service: Service) -> None:
    slide_id = ready_slide(service)
    post(service, slide_id, feature())
    assert code(post(service, slide_id, [of_qupath("Stroma"), of_qupath("Necrosis")])) == (
        422,
        "region_kind",
    )
    answer = service.client.put(
        f"/slides/{slide_id}/regions", json=[of_qupath("Stroma")], headers={"If-Match": '"r1"'}
    )
    assert code(answer) == (422, "region_kind")
    crossing = [[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]
    faulty = of_qupath("Tumor", {"type": "Polygon", "coordinates": [crossing]})
    assert code(post(service, slide_id, [of_qupath("Tumor"), faulty])) == (422, "self_intersection")
    assert len(service.client.get(f"/slides/{slide_id}/regions").json()["features"]) == 1
