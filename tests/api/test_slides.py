"""Slides over REST: from bytes to patches, shown as tiles, changed and deleted by people."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import func, select

from backend.kit.events.tables import Event
from backend.people.audit.tables import AuditEntry
from backend.people.users.tables import Role
from backend.slides.catalogue.leftovers import pyramid_key
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import Patch
from tests.conftest import Service
from tests.support.intake import INGEST, core, decoded, encoded, ingested, patches_of, upload


@pytest.fixture
def field(shared_data: Path) -> np.ndarray:
    """A camera field of real HER2 tissue."""
    path = next((shared_data / "her2_fields").glob("*.jpg"))
    return np.asarray(Image.open(path).convert("RGB"))[:600, :700]


def test_a_slide_with_a_pixel_size_becomes_ready(service: Service, shared_data: Path) -> None:
    slide = ingested(service, core(shared_data), "x.bin", case_id="K-1")
    assert slide["state"] == "ready"
    assert (slide["width"], slide["height"]) == (5468, 5468)
    assert (slide["mpp"], slide["mpp_source"]) == (0.22, "file")
    assert (slide["vendor"], slide["objective_power"]) == ("aperio", 40)
    assert slide["problem"] is None
    assert slide["synthetic"] is False
    assert 0.2 < slide["tissue_fraction"] < 0.9
    patches = patches_of(service, slide["id"])
    assert slide["patch_count"] == len(patches) > 100
    assert slide["patch_counts"] == {"unreviewed": len(patches)}
    assert slide["annotated_count"] == 0
    assert {round(patch.size0, 3) for patch in patches} == {round(256 * 0.25 / 0.22, 3)}
    assert all(patch.tissue_fraction >= 0.1 for patch in patches)
    # the proposals are asked for in the transaction that made the slide ready
    assert slide["job"]["kind"] == "predict"
    assert slide["job"]["state"] == "queued"


def test_an_unknown_pixel_size_is_asked_for_and_never_assumed(
    service: Service, shared_data: Path
) -> None:
    slide = ingested(service, core(shared_data, "tma_0_nompp.svs"))
    assert (slide["state"], slide["mpp"], slide["mpp_source"]) == ("needs_mpp", None, None)
    place = f"/slides/{slide['id']}"
    # to measure it one has to see it
    assert service.client.get(f"{place}/thumbnail.jpeg").status_code == 200
    for wrong in (0, -1, 0.0001, 1000, 352.8, "NaN"):
        answer = service.client.patch(place, json={"mpp": wrong})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), wrong
    going = service.client.patch(place, json={"mpp": 0.22}).json()
    assert (going["state"], going["job"]["kind"]) == ("ingesting", "ingest")
    busy = service.client.patch(place, json={"mpp": 0.3})
    assert (busy.status_code, busy.json()["code"]) == (409, "slide_busy")
    service.run_jobs(INGEST)
    slide = service.client.get(place).json()
    assert (slide["state"], slide["mpp"], slide["mpp_source"]) == ("ready", 0.22, "person")
    assert slide["patch_count"] > 100


def test_tiles_show_the_slide_and_are_kept_by_the_browser(
    service: Service, shared_data: Path
) -> None:
    slide = ingested(service, core(shared_data))
    place = f"/slides/{slide['id']}"
    text = service.client.get(f"{place}.dzi").text
    assert '<Size Width="5468" Height="5468"/>' in text
    answer = service.client.get(f"{place}_files/13/8_9.jpeg")
    assert answer.headers["Content-Type"] == "image/jpeg"
    # kept, but not for ever: a slide may be read anew under the same addresses
    assert answer.headers["Cache-Control"] == "private, no-cache"
    exact = decoded(service.client.get(f"{place}_files/13/8_9.png"))
    assert np.abs(decoded(answer).astype(int) - exact).mean() < 5
    same = service.client.get(
        f"{place}_files/13/8_9.jpeg", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (same.status_code, same.content) == (304, b"")
    for tag, status in (("*", 304), ('W/"a", W/' + answer.headers["ETag"], 304), ('"other"', 200)):
        again = service.client.get(f"{place}_files/13/8_9.jpeg", headers={"If-None-Match": tag})
        assert again.status_code == status, tag
    etags = {
        service.client.get(f"{place}_files/{tile}").headers["ETag"]
        for tile in ("13/8_9.jpeg", "13/8_9.png", "13/9_8.jpeg", "12/8_9.jpeg")
    }
    assert len(etags) == 4
    # a level below is the same tissue at half size
    coarse = decoded(service.client.get(f"{place}_files/12/4_4.png")).astype(float)
    fine = exact.astype(float).reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    assert np.abs(coarse[128:, :128] - fine).mean() < 8
    assert decoded(service.client.get(f"{place}_files/13/21_21.png")).shape == (92, 92, 3)
    assert decoded(service.client.get(f"{place}_files/0/0_0.png")).shape == (1, 1, 3)


@pytest.mark.parametrize("tile", ["14/0_0", "-1/0_0", "13/22_0", "13/0_22", "13/-1_0"])
def test_tiles_outside_the_pyramid_are_not_found(
    service: Service, shared_data: Path, tile: str
) -> None:
    slide = ingested(service, core(shared_data))
    answer = service.client.get(f"/slides/{slide['id']}_files/{tile}.jpeg")
    assert (answer.status_code, answer.json()["code"]) == (404, "tile_outside")


def test_what_is_not_read_yet_is_not_shown(service: Service, shared_data: Path) -> None:
    slide = upload(service, core(shared_data))
    for place in (".dzi", "_files/0/0_0.jpeg", "/thumbnail.jpeg"):
        answer = service.client.get(f"/slides/{slide['id']}{place}")
        assert (answer.status_code, answer.json()["code"]) == (409, "slide_not_ready")
    missing = service.client.get("/slides/nobody")
    assert (missing.status_code, missing.json()["code"]) == (404, "slide_not_found")


def test_slides_are_listed_newest_first_in_pages(service: Service, field: np.ndarray) -> None:
    ids = [upload(service, encoded(field[number:], "PNG"))["id"] for number in range(3)]
    first = service.client.get("/slides", params={"limit": 2}).json()
    assert [slide["id"] for slide in first["items"]] == [ids[2], ids[1]]
    rest = service.client.get("/slides", params={"cursor": first["next_cursor"]}).json()
    assert [slide["id"] for slide in rest["items"]] == [ids[0]]
    assert rest["next_cursor"] is None
    assert service.client.get("/slides", params={"state": "ready"}).json()["items"] == []
    assert first["items"][0]["job"]["kind"] == "ingest"


def test_case_stain_and_archive_are_a_pathologists(service: Service, field: np.ndarray) -> None:
    slide = ingested(service, encoded(field, "PNG"), mpp="0.25")
    place = f"/slides/{slide['id']}"
    viewer = service.client_of(Role.VIEWER)
    assert viewer.get(place).status_code == 200
    assert viewer.patch(place, json={"case_id": "x"}).status_code == 403
    person = service.client_of(Role.PATHOLOGIST)
    changed = person.patch(place, json={"case_id": "K-2", "stain": "HER2 4B5"}).json()
    assert (changed["case_id"], changed["stain"]) == ("K-2", "HER2 4B5")
    assert person.patch(place, json={"case_id": " K-3 "}).json()["case_id"] == "K-3"
    for empty in ("", " ", "\u2003"):
        assert person.patch(place, json={"case_id": empty}).status_code == 422
        assert person.patch(place, json={"block": empty}).status_code == 422
    assert person.patch(place, json={"case_id": None}).json()["case_id"] is None
    assert person.patch(place, json={"name": "x"}).status_code == 422
    assert person.patch(place, json={"archived": True}).json()["state"] == "archived"
    assert person.patch(place, json={"archived": False}).json()["state"] == "ready"
    assert person.delete(place).status_code == 403


def test_a_deleted_slide_leaves_no_file_and_can_come_again(
    service: Service, field: np.ndarray
) -> None:
    content = encoded(field, "PNG")
    slide = ingested(service, content, mpp="0.25")
    derived = service.settings.slide_folder / pyramid_key(slide["sha256"])
    assert derived.is_file()
    assert service.client.delete(f"/slides/{slide['id']}").status_code == 204
    assert service.client.get(f"/slides/{slide['id']}").status_code == 404
    assert not derived.exists()
    assert not service.blobs.has(slide["sha256"])
    assert patches_of(service, slide["id"]) == []
    with service.database.reading() as session:
        entry = session.scalar(select(AuditEntry).where(AuditEntry.action == "slide.deleted"))
        assert entry is not None
        assert (entry.subject_id, entry.user_id is None) == (slide["id"], False)
    again = ingested(service, content, mpp="0.25")
    assert again["id"] != slide["id"]
    assert again["patch_count"] == slide["patch_count"]


def test_the_pixel_size_under_annotations_stays(service: Service, field: np.ndarray) -> None:
    slide = ingested(service, encoded(field, "PNG"), mpp="0.25")
    place = f"/slides/{slide['id']}"
    assert service.client.patch(place, json={"mpp": 0.25}).status_code == 200
    with service.database.writing() as session:
        session.get_one(Patch, patches_of(service, slide["id"])[0].id).revision = 1
    answer = service.client.patch(place, json={"mpp": 0.5})
    assert (answer.status_code, answer.json()["code"]) == (409, "slide_annotated")


def test_every_state_is_told_as_an_event(service: Service, shared_data: Path) -> None:
    slide = ingested(service, core(shared_data, "tma_0_nompp.svs"))
    with service.database.reading() as session:
        told = session.scalars(
            select(Event)
            .where(Event.topic == Slide.TOPIC, Event.subject_id == slide["id"])
            .order_by(Event.id)
        ).all()
        assert [event.data["state"] for event in told] == ["uploaded", "ingesting", "needs_mpp"]
        assert session.scalar(select(func.count(Slide.id))) == 1
