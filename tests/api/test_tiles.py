"""Tiles: cheap to give, to those alone who may look, and made of what the file stores."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from sqlalchemy import event, select

from backend.kit.db import remembered
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations.tables import Annotation, Source
from backend.learning.overlays.service import LAYERS
from backend.people.users import service as users
from backend.people.users.looking import PEOPLE
from backend.people.users.tables import Role, User
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.shown import SLIDES
from backend.slides.patches.tables import Patch, PatchState
from tests.conftest import Service
from tests.support.intake import core, decoded, encoded, ingested
from tests.support.ready import patches_of, predicted_slide, ready_slide, some_mask

NAME = b"Erika Mustermann"


@pytest.fixture
def elsewhere(service: Service) -> Database:
    """The same database as another process has it."""
    return Database(service.settings.sqlalchemy_url)


def tile_of(slide_id: str, place: str = "9/0_0") -> str:
    return f"/slides/{slide_id}_files/{place}.jpeg"


def coarse(pixels: np.ndarray) -> np.ndarray:
    """Return the means of blocks of 4 × 4 px."""
    height, width = pixels.shape[0] // 4, pixels.shape[1] // 4
    blocks = pixels[: height * 4, : width * 4].reshape(height, 4, width, 4, 3)
    means: np.ndarray = blocks.astype(float).mean(axis=(1, 3))
    return means


def test_what_is_remembered_is_of_tables_that_there_are(every_table: list[str]) -> None:
    for each in (PEOPLE, SLIDES, LAYERS):
        assert set(each.tables) <= set(every_table)


def test_a_tile_asks_no_database(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    # however slow the machine is
    monkeypatch.setattr(remembered, "clock", lambda: 1000.0)
    slide_id = predicted_slide(service)
    service.client.get(tile_of(slide_id)).raise_for_status()
    overlays = [f"/slides/{slide_id}/overlays/{kind}_files" for kind in ("proposal", "annotation")]
    for overlay in overlays:
        service.client.get(f"{overlay}/9/0_0.png?v=1").raise_for_status()
    asked: list[str] = []

    def note(*arguments: object) -> None:
        asked.append(str(arguments[2]))

    event.listen(service.database.engine, "before_cursor_execute", note)
    for _ in range(3):
        for place in ("9/0_0", "9/1_0", "10/2_1", "8/0_0"):
            service.client.get(tile_of(slide_id, place)).raise_for_status()
            for overlay in overlays:
                service.client.get(f"{overlay}/{place}.png?v=1").raise_for_status()
    event.remove(service.database.engine, "before_cursor_execute", note)
    assert asked == []


def test_a_right_that_is_taken_away_ends_at_once_here(service: Service) -> None:
    slide_id = ready_slide(service)
    viewer, other = service.client_of(Role.VIEWER), service.client_of(Role.VIEWER)
    for client in (viewer, other):
        assert client.get(tile_of(slide_id)).status_code == 200
    token = viewer.headers["Authorization"].removeprefix("Bearer ")
    with service.database.writing() as session:
        users.end_token(session, token)
    assert viewer.get(tile_of(slide_id)).status_code == 401
    assert other.get(tile_of(slide_id)).status_code == 200
    assert service.client.delete(f"/slides/{slide_id}").status_code == 204
    assert other.get(tile_of(slide_id)).status_code == 404


def test_a_right_that_another_process_takes_away_ends_in_time(
    service: Service, elsewhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is believed for SECONDS and not a moment longer."""
    now = 1000.0
    monkeypatch.setattr(remembered, "clock", lambda: now)
    slide_id = ready_slide(service)
    viewer, gone = service.client_of(Role.VIEWER), service.client_of(Role.VIEWER)
    locked, pathologist = service.client_of(Role.VIEWER), service.client_of(Role.PATHOLOGIST)
    clients = (viewer, gone, locked, pathologist)
    assert {client.get(tile_of(slide_id)).status_code for client in clients} == {200}
    locked_id = locked.get("/users/me").json()["id"]
    with elsewhere.writing() as session:
        users.end_token(session, gone.headers["Authorization"].removeprefix("Bearer "))
        session.get_one(User, locked_id).active = False
    now += remembered.SECONDS
    answers = [client.get(tile_of(slide_id)).status_code for client in clients]
    assert answers == [200, 401, 401, 200]
    admin_id = service.client.get("/users/me").json()["id"]
    with elsewhere.writing() as session:
        admin = session.get_one(User, admin_id)
        slides.remove(session, slide_id, service.settings, by=admin)
    now += remembered.SECONDS
    assert viewer.get(tile_of(slide_id)).status_code == 404
    assert remembered.SECONDS <= 2
    elsewhere.dispose()


def test_a_mask_that_another_process_saved_is_seen_by_who_asks_anew(
    service: Service, elsewhere: Database
) -> None:
    slide_id = ready_slide(service)
    patch = patches_of(service.client, slide_id, order="position")[0]
    place = f"/slides/{slide_id}/overlays/annotation_files/10/0_0.png"
    before = service.client.get(place, params={"v": "1"}).headers["ETag"]
    mask = Blobs(service.settings.blob_folder).put(encoded(some_mask(), "PNG"))
    with elsewhere.writing() as session:
        row = session.get_one(Patch, patch["id"])
        row.revision, row.state = 1, PatchState.ANNOTATED
        author = session.scalars(select(User.id)).first()
        session.add(
            Annotation(
                patch_id=row.id,
                revision=1,
                author_id=author,
                mask_sha256=mask,
                source=Source.SCRATCH,
                base_revision=0,
            )
        )
    after = service.client.get(place, params={"v": "2"}).headers["ETag"]
    assert after != before
    elsewhere.dispose()


def test_a_refusal_is_not_remembered(service: Service) -> None:
    slide_id = ready_slide(service)
    browser = service.client_of(Role.VIEWER)
    token = browser.headers.pop("Authorization")
    assert browser.get(tile_of(slide_id)).status_code == 401
    browser.headers["Authorization"] = token
    assert browser.get(tile_of(slide_id)).status_code == 200


def test_stored_tiles_are_handed_on_in_openslides_own_pixels(
    service: Service, shared_data: Path
) -> None:
    content = core(shared_data)
    slide_id = ingested(service, content)["id"]
    page = tifffile.TiffFile(io.BytesIO(content)).pages[0]
    for column, row in ((8, 9), (0, 0), (20, 20)):
        answer = service.client.get(tile_of(slide_id, f"13/{column}_{row}"))
        number = row * 22 + column
        scan = content[page.dataoffsets[number] :][: page.databytecounts[number]]
        # the last bytes are coded pixels: handed on, not coded again
        assert answer.content[-400:] == scan[-400:]
        exact = service.client.get(f"/slides/{slide_id}_files/13/{column}_{row}.png")
        assert (decoded(answer) == decoded(exact)).all()
    for place in ("13/21_21", "13/21_0", "12/3_4", "12/10_10", "11/2_2", "10/1_1", "9/1_1"):
        ours = decoded(service.client.get(tile_of(slide_id, place)))
        exact = decoded(service.client.get(f"/slides/{slide_id}_files/{place}.png"))
        assert ours.shape == exact.shape
        here = np.abs(coarse(ours) - coarse(exact)).mean()
        # single pixels differ by the window and the coding; a shift by one would show here
        shifted = np.abs(coarse(np.roll(ours, 1, (0, 1))) - coarse(exact)).mean()
        assert here < 2.5, place
        assert here < shifted, place


def with_notes(content: bytes) -> bytes:
    """Return a slide whose first tiles carry a name: as a comment, as Exif, behind their end."""
    page = tifffile.TiffFile(io.BytesIO(content)).pages[0]
    changed = bytearray(content)
    length = struct.pack(">H", 2 + len(NAME))
    for number in range(3):
        scan = content[page.dataoffsets[number] :][: page.databytecounts[number]]
        note = b"\xff\xfe" + length + NAME + b"\xff\xe1" + length + NAME
        scan = scan[:2] + note + scan[2:] + NAME
        for name, value in (("TileOffsets", len(changed)), ("TileByteCounts", len(scan))):
            tag = page.tags[name]
            form = {3: "H", 4: "I"}[int(tag.dtype)]
            at = tag.valueoffset + number * struct.calcsize(form)
            struct.pack_into(f"<{form}", changed, at, value)
        changed += scan
    return bytes(changed)


def test_what_stands_beside_the_pixels_stays_here(service: Service, shared_data: Path) -> None:
    content = with_notes(core(shared_data))
    assert content.count(NAME) == 9
    slide = ingested(service, content)
    assert slide["state"] == "ready", slide
    for place in ("13/0_0", "13/1_0", "13/2_0", "12/0_0"):
        answer = service.client.get(tile_of(slide["id"], place))
        assert NAME not in answer.content
        exact = service.client.get(f"/slides/{slide['id']}_files/{place}.png")
        assert np.abs(decoded(answer).astype(int) - decoded(exact)).mean() < 4
