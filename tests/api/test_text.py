"""Text that is none: NULs, half surrogate pairs, other encodings, cursors of nothing."""

import json
from typing import Any

import pytest

from backend.kit.db.base import new_id
from tests.conftest import Service
from tests.support.ready import code, ready_slide
from tests.support.tus import announce, begin, encoded

JSON = {"Content-Type": "application/json"}


def feature(name: str) -> dict[str, Any]:
    ring = [[10, 10], [200, 10], [200, 200], [10, 10]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"kind": "tumour", "name": name},
    }


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(feature("\ud800")).encode(),
        json.dumps(feature("\udfff\ud800")).encode(),
        json.dumps(feature("x"), ensure_ascii=False)
        .replace("x", "\ud800", 1)
        .encode(errors="surrogatepass"),
        json.dumps({"type": "Feature", "geometry": {"type": "\udc00"}}).encode(),
        json.dumps(feature("x")).encode("utf-16"),
        json.dumps(feature("\0")).encode(),
    ],
)
def test_what_is_no_character_is_refused(service: Service, body: bytes) -> None:
    path = f"/slides/{ready_slide(service)}/regions"
    assert code(service.client.post(path, content=body, headers=JSON)) == (400, "bad_request")
    assert service.client.get(path).json()["features"] == []


@pytest.mark.parametrize("name", ["𝔸é", "\\ud800", "\\u0000", "a\\"])
def test_what_only_looks_like_it_is_kept(service: Service, name: str) -> None:
    path = f"/slides/{ready_slide(service)}/regions"
    for ascii_only in (True, False):
        body = json.dumps(feature(name), ensure_ascii=ascii_only).encode()
        service.client.post(path, content=body, headers=JSON).raise_for_status()
    kept = [each["properties"]["name"] for each in service.client.get(path).json()["features"]]
    assert kept == [name, name]


def test_an_import_of_annotations_is_held_to_the_same(service: Service) -> None:
    path = f"/slides/{ready_slide(service)}/annotations.geojson"
    other = feature("x") | {"properties": {"classification": {"name": "\ud800"}}}
    body = json.dumps({"type": "FeatureCollection", "features": [other]}).encode()
    assert code(service.client.post(path, content=body)) == (400, "bad_request")


@pytest.mark.parametrize("word", ["case_id", "stain"])
def test_no_word_about_a_file_holds_control_characters(service: Service, word: str) -> None:
    client = service.client
    sent = client.post("/slides", files={"file": ("a", b"x")}, data={word: "a\0b"})
    assert code(sent) == (422, "invalid")
    announced = announce(client, 10, **{"Upload-Metadata": encoded(**{word: "a\0b"})})
    assert code(announced) == (422, "invalid")
    changed = client.patch(f"/slides/{ready_slide(service)}", json={word: "a\nb"})
    assert code(changed) == (422, "invalid")
    begin(client, 10, **{"Upload-Metadata": encoded(**{word: "Größe 7"})})


@pytest.mark.parametrize(
    "path", ["/slides", "/jobs", "/audit", "/users", "/slides/{}/regions/revisions"]
)
def test_a_cursor_of_no_list_is_refused(service: Service, path: str) -> None:
    path = path.format(ready_slide(service))
    for cursor in ("rubbish", "zzz", "0", "", new_id().upper(), f"{new_id()} "):
        assert code(service.client.get(path, params={"cursor": cursor})) == (400, "bad_cursor")
    assert service.client.get(path, params={"cursor": new_id()}).status_code == 200
