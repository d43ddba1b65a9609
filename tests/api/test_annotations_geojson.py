"""Masks go to QuPath and come back pixel for pixel; what people did meanwhile is not lost."""

import copy
import json
from typing import Any

import numpy as np
import pytest
import shapely
from httpx import Response
from sqlalchemy import select

from backend.exchange.masks import geojson_routes, imports
from backend.job_kinds import JobKind
from backend.learning.annotations.tables import Annotation
from backend.people.audit.tables import AuditEntry
from backend.people.users.tables import Role
from backend.slides.patches.tables import Patch, PatchState
from tests.api.test_qupath import read_object, square
from tests.conftest import Service
from tests.support.ready import code, patches_of, pixels, put, ready_slide, some_mask

Json = dict[str, Any]
SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def ring(*, gaps: bool = False) -> np.ndarray:
    y, x = np.mgrid[:256, :256] - 127.5
    radius = np.hypot(x, y)
    drawn = (radius > 60) & (radius < 66)
    if gaps:
        drawn &= (np.abs(x) > 5) & (np.abs(y) > 5)
    return np.where(drawn, 255, 0).astype(np.uint8)


def touching_corners() -> np.ndarray:
    """Pixels that meet in corners only, a line of one pixel, and the patch's whole rim."""
    mask = np.zeros((256, 256), np.uint8)
    mask[np.arange(20, 60), np.arange(20, 60)] = 255
    mask[100, 30:200] = 255
    mask[[0, -1]] = mask[:, [0, -1]] = 255
    rng = np.random.default_rng(2)
    mask[150:190, 150:190] = np.where(rng.random((40, 40)) > 0.5, 255, 127)
    return mask


MASKS = (ring(), ring(gaps=True), touching_corners(), some_mask(), np.zeros((256, 256), np.uint8))


def place(slide_id: str) -> str:
    return f"/slides/{slide_id}/annotations.geojson"


def exported(service: Service, slide_id: str) -> Json:
    answer = service.client.get(place(slide_id))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/geo+json"
    found: Json = answer.json()
    return found


def send(service: Service, slide_id: str, content: Any, **headers: str) -> Response:
    return service.client.post(place(slide_id), json=content, headers=headers)


def imported(service: Service, slide_id: str, content: Any, **headers: str) -> Json:
    """Import and return the outcome: at once, or of the job that a large one is."""
    answer = send(service, slide_id, content, **headers)
    if answer.status_code == 202:
        service.run_jobs((JobKind.IMPORT,))
        job = service.client.get(f"/jobs/{answer.json()['id']}").json()
        assert job["state"] == "succeeded", job
        outcome: Json = job["result"]
        return outcome
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    assert all(each["outcome"] in {"written", "unchanged"} for each in found["items"]), found
    return found


def drawn(name: str | None, *rings: Any, **properties: Any) -> Json:
    """A feature as somebody draws it in QuPath."""
    said = {"classification": {"name": name, "color": [1, 2, 3]}} if name else {}
    return {
        "type": "Feature",
        "id": "5f8e7a0c-5d4a-4f39-9e6e-3f8a2f6a9b11",
        "geometry": {"type": "Polygon", "coordinates": list(rings)},
        "properties": {"objectType": "annotation", **said, **properties},
    }


def collection(*features: Json) -> Json:
    return {"type": "FeatureCollection", "features": list(features)}


def ids(service: Service, slide_id: str) -> list[str]:
    return [each["id"] for each in patches_of(service.client, slide_id, order="position")]


def mask_of(service: Service, patch_id: str) -> np.ndarray:
    return pixels(service.client.get(f"/patches/{patch_id}/annotation.png"))


def annotated(service: Service, **shape: Any) -> tuple[str, list[str]]:
    """Add a slide with MASKS on its first patches."""
    slide_id = ready_slide(service, width=768, height=600, **shape)
    patches = ids(service, slide_id)
    for patch_id, mask in zip(patches, MASKS, strict=False):
        put(service.client, patch_id, mask).raise_for_status()
    return slide_id, patches[: len(MASKS)]


def as_new(content: Json) -> Json:
    """Forget which patches features are of, as if somebody had drawn them there."""
    found = copy.deepcopy(content)
    for each in found["features"]:
        for name in ("patch_id", "revision", "metadata"):
            del each["properties"][name]
    return found


@pytest.mark.parametrize("mpp", [0.25, 0.31, 0.17])
@SQLITE
def test_masks_come_back_pixel_for_pixel(service: Service, mpp: float) -> None:
    slide_id, patches = annotated(service, mpp=mpp)
    content = exported(service, slide_id)
    twin = ready_slide(service, width=768, height=600, seed=4, mpp=mpp)
    found = imported(service, twin, as_new(content))
    assert found["written"] == len(MASKS) - 1, "an empty mask has no outline"
    assert (found["unchanged"], found["features_on_no_patch"]) == (0, 0)
    for patch_id, mask in zip(ids(service, twin), MASKS[:-1], strict=False):
        np.testing.assert_array_equal(mask_of(service, patch_id), mask)
    again = imported(service, slide_id, content)
    assert (again["written"], again["unchanged"]) == (0, len(MASKS) - 1)
    assert all(
        each["revision"] == 1
        for each in patches_of(service.client, slide_id)
        if each["id"] in patches
    )


@SQLITE
def test_a_ring_is_a_ring_and_a_broken_ring_all_its_parts(service: Service) -> None:
    slide_id, patches = annotated(service)
    content = exported(service, slide_id)
    whole, broken = content["features"][:2]
    assert whole["geometry"]["type"] == "Polygon"
    assert len(whole["geometry"]["coordinates"]) == 2, "an outline and its hole"
    assert broken["geometry"]["type"] == "MultiPolygon"
    assert [len(part) for part in broken["geometry"]["coordinates"]] == [1] * 4
    read = [read_object(each) for each in content["features"]]
    assert {each.kind for each in read} == {"annotation"}
    assert len({each.id for each in read}) == len(read)
    for each, feature in zip(read, content["features"], strict=True):
        said = feature["properties"]
        mask = MASKS[patches.index(said["patch_id"])]
        value = {"Membrane": 255, "Ignore*": 127}[str(each.path_class)]
        assert each.roi.is_valid
        assert each.roi.area == (mask == value).sum()
        assert said["revision"] == 1
        assert said["metadata"] == {
            name: str(said[name]) for name in ("patch_id", "revision", "author")
        }
        assert not each.locked
    assert content["membrana"]["patches_without_membrane"] == [
        {"patch_id": patches[-1], "revision": 1}
    ]


def test_an_edit_in_qupath_is_a_new_revision_of_the_patch_it_is_of(service: Service) -> None:
    slide_id, patches = annotated(service)
    content = exported(service, slide_id)
    feature = content["features"][0]
    # QuPath keeps an object's metadata, and no other property that it does not know
    for name in ("patch_id", "revision", "author"):
        del feature["properties"][name]
    feature["geometry"]["coordinates"].pop()
    found = imported(service, slide_id, collection(feature))
    [told] = found["items"]
    assert (told["patch_id"], told["outcome"], told["revision"]) == (patches[0], "written", 2)
    y, x = np.mgrid[:256, :256] - 127.5
    filled = np.where(np.hypot(x, y) < 66, 255, 0)
    np.testing.assert_array_equal(mask_of(service, patches[0]), filled)
    with service.database.reading() as session:
        newest = session.scalars(
            select(Annotation).where(Annotation.patch_id == patches[0], Annotation.revision == 2)
        ).one()
        assert newest.source == "edited"
        entry = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "annotations.imported")
        ).one()
        assert (entry.subject_id, entry.details["written"]) == (slide_id, 1)


def test_what_somebody_annotated_meanwhile_is_in_conflict_and_stays(service: Service) -> None:
    slide_id, patches = annotated(service)
    content = exported(service, slide_id)
    for each in content["features"]:
        each["geometry"] = {"type": "Polygon", "coordinates": [each_square(each)]}
    other = service.client_of(Role.PATHOLOGIST)
    put(other, patches[1], some_mask(9), if_match='"r1"').raise_for_status()
    with service.database.writing() as session:
        session.get_one(Patch, patches[3]).state = PatchState.APPROVED
    answer = send(service, slide_id, content)
    assert answer.status_code == 200, answer.text
    told = {each["patch_id"]: each for each in answer.json()["items"]}
    assert [told[each]["outcome"] for each in patches[:4]] == [
        "written", "conflict", "written", "refused",
    ]  # fmt: skip
    assert [answer.json()[each] for each in ("written", "conflict", "refused")] == [2, 1, 1]
    assert (told[patches[1]]["revision"], told[patches[1]]["code"]) == (2, "stale")
    assert told[patches[3]]["code"] == "patch_state"
    np.testing.assert_array_equal(mask_of(service, patches[1]), some_mask(9))
    np.testing.assert_array_equal(mask_of(service, patches[3]), MASKS[3])


def each_square(feature: Json) -> Any:
    left, top, *_ = shapely.from_geojson(json.dumps(feature["geometry"])).bounds
    corner = [256 * (left // 256) + 40, 256 * (top // 256) + 40]
    x, y = corner
    return [[x, y], [x + 20, y], [x + 20, y + 20], [x, y + 20], [x, y]]


def test_new_polygons_are_laid_onto_every_patch_they_touch(service: Service) -> None:
    slide_id = ready_slide(service)
    patches = ids(service, slide_id)
    with_hole = drawn("Membrane", square(200, 112), square(240, 10))
    left_out = drawn("Ignore", square(230, 15))
    beside = drawn("Tumor", square(0, 500))
    # measured along a line: no outline, and no reason to refuse the others
    line = {"type": "LineString", "coordinates": [[0, 0], [9, 9]]}
    measured = {**drawn("Membrane"), "geometry": line}
    sent = collection(with_hole, left_out, measured, beside, drawn(None, []))
    found = imported(service, slide_id, sent)
    assert found["features_of_other_classes"] == {
        "Tumor": 1,
        "(unclassified)": 1,
        "Membrane (LineString)": 1,
    }
    assert [each["patch_id"] for each in found["items"]] == [*patches[:2], *patches[3:5]]
    whole = np.zeros((512, 768), np.uint8)
    whole[200:312, 200:312] = 255
    whole[240:250, 240:250] = 0
    whole[230:245, 230:245] = 127
    for each in found["items"]:
        there = whole[256 * each["row"] :, 256 * each["column"] :][:256, :256]
        np.testing.assert_array_equal(mask_of(service, each["patch_id"]), there)
    with service.database.reading() as session:
        sources = session.scalars(select(Annotation.source)).all()
    assert sources == ["scratch"] * 4
    again = imported(service, slide_id, collection(with_hole, left_out))
    assert (again["written"], again["unchanged"]) == (0, 4), "sent twice, written once"


def test_drawing_over_annotated_patches_needs_the_etag_of_what_was_seen(service: Service) -> None:
    slide_id, patches = annotated(service)
    etag = service.client.get(place(slide_id)).headers["ETag"]
    content = drawn("Membrane", square(10, 300))
    refused = send(service, slide_id, content).json()
    assert {each["outcome"] for each in refused["items"]} == {"conflict"}
    np.testing.assert_array_equal(mask_of(service, patches[0]), MASKS[0])
    found = imported(service, slide_id, content, **{"If-Match": etag})
    assert found["written"] == 4
    assert mask_of(service, patches[0])[10:, 10:].all()
    stale = send(service, slide_id, content, **{"If-Match": etag})
    assert code(stale) == (412, "stale")
    assert stale.headers["ETag"] == service.client.get(place(slide_id)).headers["ETag"]


BOWTIE = [[0, 0], [90, 90], [90, 0], [0, 90], [0, 0]]
CASES = {
    "[]": ([], "no_membrane"),
    "text": ("Membrane", "not_geojson"),
    "number": (3, "not_geojson"),
    "no features": ({"type": "FeatureCollection"}, "not_geojson"),
    "no feature": (collection({"type": "Polygon"}), "not_geojson"),
    "properties": (collection({"type": "Feature", "properties": [1]}), "not_geojson"),
    "other class": (drawn("Tumor", square(1, 9)), "no_membrane"),
    "point": ({**drawn("Membrane"), "geometry": {"type": "Point"}}, "not_a_polygon"),
    "no geometry": ({**drawn("Membrane"), "geometry": None}, "not_a_polygon"),
    "no ring": (drawn("Membrane"), "not_geojson"),
    "line": (drawn("Membrane", [[0, 0], [5, 5], [0, 0]]), "too_few_vertices"),
    "bow tie": (drawn("Membrane", BOWTIE), "self_intersection"),
    "words": (drawn("Membrane", [["a", 1], [2, 3], [4, 5]]), "not_geojson"),
    "outside": (drawn("Membrane", square(700, 400)), "outside_slide"),
    "no revision": (drawn("Membrane", square(1, 9), patch_id="x"), "not_geojson"),
    "many digits": (
        drawn("Membrane", square(1, 9), patch_id="x", revision=10**30), "not_geojson",
    ),
    "elsewhere": (
        drawn("Membrane", square(1, 9), patch_id="x", revision=1), "patch_of_another_slide",
    ),
}  # fmt: skip


@SQLITE
def test_what_is_no_geojson_of_membranes_is_refused_in_words(service: Service) -> None:
    slide_id = ready_slide(service)
    for name, (content, expected) in CASES.items():
        answer = send(service, slide_id, content)
        assert code(answer) == (422, expected), (name, answer.text)
        assert answer.json()["detail"][0].isupper()
    for body in (b"{", b"[" * 100_000, b'{"type": NaN'):
        assert code(service.client.post(place(slide_id), content=body)) == (422, "not_geojson")
    for body in (b"\xff\xfe", b'["\\u0000"]'):
        assert code(service.client.post(place(slide_id), content=body)) == (400, "bad_request")
    assert exported(service, slide_id)["features"] == []


@SQLITE
def test_large_files_are_taken_and_endless_ones_are_not(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = ready_slide(service)
    dots = [drawn("Membrane", square(x / 20 - 0.02, 0.04)) for x in range(200, 4700)]
    long = collection(*dots)
    assert len(json.dumps(long)) > 1 << 20
    assert imported(service, slide_id, long)["written"] == 1
    monkeypatch.setattr(geojson_routes, "LARGEST", 1 << 20)
    assert code(send(service, slide_id, long)) == (413, "import_too_large")
    # what is too much for a request is a job; what is too much for a job is refused
    over_four = drawn("Membrane", square(200, 200))
    monkeypatch.setattr(geojson_routes, "FEW_PATCHES", 3)
    assert send(service, slide_id, over_four).status_code == 202
    monkeypatch.setattr(imports, "MOST_PATCHES", 3)
    service.run_jobs((JobKind.IMPORT,))
    [job] = service.client.get("/jobs?kind=import&state=failed").json()["items"]
    assert job["problem"]["code"] == "too_many_patches"


@SQLITE
def test_who_only_looks_exports_and_imports_nothing(service: Service) -> None:
    slide_id, _ = annotated(service)
    viewer = service.client_of(Role.VIEWER)
    assert len(viewer.get(place(slide_id)).json()["features"]) == 6
    refused = viewer.post(place(slide_id), json=drawn("Membrane", square(1, 9)))
    assert code(refused) == (403, "not_allowed")
    assert code(viewer.get(place("none"))) == (404, "slide_not_found")
    missing = send(service, "none", drawn("Membrane", square(1, 9)))
    assert code(missing) == (404, "slide_not_found")
