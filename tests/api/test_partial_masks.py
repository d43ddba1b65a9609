"""Masks that are painted only in part: unseen is nobody's membrane and nobody's background."""

import io
import json
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from sqlalchemy import func, select

from backend.exchange.masks import contents
from backend.learning.annotations import newest_masks
from backend.learning.annotations.tables import AnnotationProposal
from backend.learning.rounds import service as rounds
from backend.learning.rounds.snapshot import Snapshot, take
from backend.learning.rounds.tables import Round, RoundPatch
from backend.slides.patches.tables import PatchRole
from tests.conftest import Service
from tests.support.edits import UNSEEN, complete, difference, painted, post, tile, whole
from tests.support.ready import Mask, patches_of, pixels, predicted_slide, ready_slide, some_mask
from worker.data import read_labelled

SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
IGNORE = 127


def by_position(service: Service, slide_id: str) -> list[dict[str, Any]]:
    return patches_of(service.client, slide_id, order="position")


def keep_on() -> None:
    """Nothing asks the work to stop."""


def test_rounds_learn_from_what_was_seen_and_count_what_is_complete(service: Service) -> None:
    slide_id = ready_slide(service, width=1024, height=1024)
    patches = by_position(service, slide_id)
    tiles = [tile(each, painted(number)) for number, each in enumerate(patches[:14])]
    post(service.client, slide_id, *tiles).raise_for_status()
    with service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Round)) == 0
        assert rounds.annotations_since(session) == 0
        assert rounds.gold_counted(session) == 0
        snapshot = take(session)
        assert newest_masks.count_accepted(session) == 0
        assert newest_masks.accepted_of_slide(session, slide_id) == []
    roles = [each["role"] for each in by_position(service, slide_id)[:14]]
    assert roles.count("gold") == 3, "roles are dealt as they always were"
    assert len(snapshot.of_role(PatchRole.TRAINING)) == 11
    assert snapshot.of_role(PatchRole.GOLD) == [], "nothing is judged by a part"
    assert not snapshot.complete_of_role(PatchRole.TRAINING)
    assert Snapshot.from_document(snapshot.document()) == snapshot
    refused = service.client.post("/rounds")
    assert refused.json()["code"] == "too_few_annotations"

    labelled = read_labelled(
        service.database, service.blobs, service.settings, snapshot.patches, keep_on
    )
    places = {(each["row"], each["column"]): number for number, each in enumerate(patches)}
    for patch, mask in zip(snapshot.patches, labelled.masks, strict=True):
        stored = painted(places[patch.row, patch.column])
        assert (mask == whole(stored, IGNORE)).all()

    gold = roles.index("gold")
    for number in (0, 1, gold):
        complete(service.client, patches[number]["id"], 1).raise_for_status()
    with service.database.reading() as session:
        assert rounds.annotations_since(session) == 2
        assert rounds.gold_counted(session) == 1
    started = service.client.post("/rounds")
    assert started.status_code == 202, started.text
    shown = started.json()["round"]
    assert (shown["training_count"], shown["partial_count"], shown["gold_count"]) == (2, 9, 1)
    with service.database.reading() as session:
        parts = session.scalars(select(RoundPatch.patch_id).where(~RoundPatch.complete)).all()
    assert len(parts) == 9


def test_what_is_undone_to_nothing_teaches_nothing(service: Service) -> None:
    slide_id = ready_slide(service)
    patch = by_position(service, slide_id)[0]
    post(service.client, slide_id, tile(patch, painted())).raise_for_status()
    bare = np.full((256, 256), UNSEEN, np.uint8)
    answer = post(service.client, slide_id, tile(patch, bare, base=1)).json()["tiles"][0]
    assert (answer["state"], answer["unseen_px"]) == ("partial", 256 * 256)
    with service.database.reading() as session:
        assert take(session).patches == ()


def test_how_far_a_part_is_from_a_proposal_is_told_of_what_was_seen(service: Service) -> None:
    slide_id = predicted_slide(service)
    one, two = by_position(service, slide_id)[:2]
    proposal = pixels(service.client.get(f"/patches/{one['id']}/proposal.png"))
    taken = proposal.copy()
    taken[:, 100:] = UNSEEN
    other = pixels(service.client.get(f"/patches/{two['id']}/proposal.png")).copy()
    other[:, 100:] = UNSEEN
    other[:50, :100] = np.where(other[:50, :100] == 255, 0, 255)
    saved = post(service.client, slide_id, tile(one, taken), tile(two, other)).json()["tiles"]
    assert [each["annotation"]["source"] for each in saved] == ["proposal", "edited"]
    with service.database.reading() as session:
        figures = {
            row.annotation_id: (row.differing_px, row.membrane_px)
            for row in session.scalars(select(AnnotationProposal))
        }
    inside = int((proposal[:, :100] == 255).sum())
    assert figures[saved[0]["annotation"]["id"]] == (0, inside)
    assert figures[saved[1]["annotation"]["id"]][0] == 50 * 100


def exported(service: Service, slide_id: str, kind: str, **more: Any) -> ZipFile:
    answer = service.client.get(f"/slides/{slide_id}/export", params={"format": kind, **more})
    assert answer.status_code == 200, answer.text
    return ZipFile(io.BytesIO(answer.content))


def png_in(archive: ZipFile, name: str) -> Mask:
    return np.asarray(Image.open(io.BytesIO(archive.read(name))))


@SQLITE
def test_exports_say_what_is_unseen_and_none_makes_it_background(
    service: Service, tmp_path: Any
) -> None:
    slide_id = predicted_slide(service)
    part, full = by_position(service, slide_id)[:2]
    post(
        service.client, slide_id, tile(part, painted()), tile(full, some_mask(1))
    ).raise_for_status()
    names = [f"r{each['row']:05d}_c{each['column']:05d}" for each in (part, full)]

    archive = exported(service, slide_id, "png", proposals=True)
    assert (png_in(archive, f"masks/{names[0]}.png") == whole(painted(), IGNORE)).all()
    assert (png_in(archive, f"masks/{names[1]}.png") == some_mask(1)).all()
    rows = {each["patch_id"]: each for each in json.loads(archive.read("manifest.json"))["patches"]}
    assert (rows[part["id"]]["complete"], rows[part["id"]]["unseen_px"]) == (False, 256 * 128)
    assert rows[full["id"]]["complete"]

    annotations = tmp_path / "annotations.json"
    annotations.write_bytes(exported(service, slide_id, "coco").read("annotations.json"))
    read = COCO(annotations)
    images = {each["membrana"]["patch_id"]: each["id"] for each in read.dataset["images"]}
    [ignored] = read.loadAnns(read.getAnnIds(imgIds=[images[part["id"]]], catIds=[2]))
    assert ignored["iscrowd"] == 1
    assert (read.annToMask(ignored) == (whole(painted(), IGNORE) == IGNORE)).all()

    with service.database.reading() as session:
        found = contents.of_slide(session, slide_id, with_proposals=True)
    items = {
        item.record.patch_id: item
        for item in found.items(
            service.database, service.blobs, service.settings, complete_only=True
        )
    }
    assert not items[part["id"]].by_person, "a binary segment can't say that nobody has looked"
    assert items[full["id"]].by_person

    overlay = service.client.get(f"/slides/{slide_id}/overlays/annotation_files/10/0_0.png")
    assert overlay.status_code == 200
    drawn = np.asarray(Image.open(io.BytesIO(overlay.content)).convert("RGBA"))
    assert drawn.shape[:2] == (256, 256), "at full size a tile is the first patch"
    assert not drawn[:, 130:, 3].any(), "nothing is drawn where nobody looked"
    assert drawn[:, :126, 3].any()


@SQLITE
def test_qupath_brings_a_part_back_as_a_part(service: Service) -> None:
    slide_id = ready_slide(service)
    part, full = by_position(service, slide_id)[:2]
    post(
        service.client, slide_id, tile(part, painted()), tile(full, some_mask(1))
    ).raise_for_status()
    place = f"/slides/{slide_id}/annotations.geojson"
    content = service.client.get(place).json()
    classes = {
        each["properties"]["classification"]["name"]
        for each in content["features"]
        if each["properties"]["patch_id"] == part["id"]
    }
    assert classes == {"Membrane", "Ignore*", "Unseen*"}
    back = service.client.post(place, json=content).json()
    assert (back["unchanged"], back["written"]) == (2, 0)
    seen = [
        each
        for each in content["features"]
        if each["properties"]["classification"]["name"] != "Unseen*"
    ]
    again = service.client.post(place, json={**content, "features": seen}).json()
    assert (again["unchanged"], again["written"]) == (1, 1)
    shown = service.client.get(f"/patches/{part['id']}").json()
    assert (shown["state"], shown["revision"]) == ("annotated", 2), "who sends no unseen saw it all"
    diff = np.full((256, 256), 191, np.uint8)
    diff[:9] = UNSEEN
    post(service.client, slide_id, difference(part, diff, base=2)).raise_for_status()
    content = service.client.get(place).json()
    membrane = next(
        each
        for each in content["features"]
        if each["properties"]["patch_id"] == part["id"]
        and each["properties"]["classification"]["name"] == "Unseen*"
    )
    membrane["properties"]["classification"]["name"] = "Membrane"
    service.client.post(place, json=content).raise_for_status()
    mask = pixels(service.client.get(f"/patches/{part['id']}/annotation.png"))
    assert (mask[:9] == 255).all()
