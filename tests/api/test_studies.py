"""Two readers: blind until the study is closed, compared then, and decided by a third."""

import base64
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score
from sqlalchemy import text
from starlette.testclient import TestClient

from backend.kit import turns
from backend.kit.db.locks import alone
from backend.learning.annotations import masks
from backend.learning.annotations import service as annotations
from backend.learning.studies import agreement
from backend.learning.studies.agreement import Counts, compared
from backend.people.users.tables import Role
from backend.slides.patches import service as patches
from tests.conftest import Service
from tests.support.ready import (
    Mask,
    code,
    patches_of,
    pixels,
    png,
    predicted_slide,
    put,
    ready_slide,
    some_mask,
)


@dataclass
class Reading:
    """A study of two readers on two patches, and a third person."""

    first: TestClient
    second: TestClient
    third: TestClient
    patch_ids: list[str]
    id: str = ""

    def save(self, reader: TestClient, patch: int, mask: Mask, base: int = 0) -> Any:
        return reader.put(
            f"/studies/{self.id}/patches/{self.patch_ids[patch]}/reading",
            content=png(mask),
            params={"seconds_spent": 20},
            headers={"If-Match": f'"r{base}"', "Content-Type": "image/png"},
        )

    def mask_of(self, by: TestClient, whose: TestClient, patch: int = 0) -> Any:
        place = f"/studies/{self.id}/patches/{self.patch_ids[patch]}/readings"
        return by.get(f"{place}/{me(whose)}.png")


def decide(by: TestClient, place: str, wish: dict[str, Any], base: int = 0) -> Any:
    return by.post(place, json=wish, headers={"If-Match": f'"r{base}"'})


def take_back(by: TestClient, place: str, base: int) -> Any:
    return by.delete(place, headers={"If-Match": f'"r{base}"'})


def me(client: TestClient) -> str:
    return str(client.get("/users/me").json()["id"])


def begun(service: Service) -> Reading:
    slide_id = predicted_slide(service)
    people = [service.client_of(Role.PATHOLOGIST) for _ in range(3)]
    ids = sorted(each["id"] for each in patches_of(service.client, slide_id)[:2])
    study = Reading(*people, ids)
    made = service.client.post(
        "/studies",
        json={"name": " Round 1 ", "readers": [me(each) for each in people[:2]], "patch_ids": ids},
    )
    assert made.status_code == 201, made.text
    assert (made.json()["name"], made.json()["state"]) == ("Round 1", "open")
    study.id = made.json()["id"]
    return study


def test_readers_are_blind_until_the_study_is_closed(service: Service) -> None:
    study = begun(service)
    saved = study.save(study.first, 0, some_mask(1))
    assert (saved.status_code, saved.headers["ETag"]) == (201, '"r1"')
    assert study.save(study.first, 0, some_mask(1)).status_code == 200, "sent once more"
    assert code(study.save(study.first, 0, some_mask(2))) == (412, "stale")
    assert study.save(study.first, 0, some_mask(2), base=1).status_code == 201
    np.testing.assert_array_equal(pixels(study.mask_of(study.first, study.first)), some_mask(2))
    assert code(study.mask_of(study.second, study.first)) == (409, "study_open")
    assert code(study.mask_of(study.third, study.first)) == (409, "study_open")
    shown = study.second.get(f"/studies/{study.id}").json()
    assert [each["readings"] for each in shown["patches"]] == [{}, {}]
    own = study.first.get(f"/studies/{study.id}").json()["patches"][0]["readings"]
    assert own == {me(study.first): 2}
    # no other address shows it, for there is no annotation, and none can be made
    patch_id = study.patch_ids[0]
    assert code(study.second.get(f"/patches/{patch_id}/annotation.png"))[0] == 404
    for reader in (study.second, service.client):
        assert code(put(reader, patch_id, some_mask())) == (409, "patch_in_study")
    assert service.client.get(f"/patches/{patch_id}").json()["revision"] == 0
    offered = {each["patch"]["id"] for each in study.second.get("/queue").json()["items"]}
    assert offered.isdisjoint(study.patch_ids)
    assert offered
    for path in ("agreement", f"patches/{patch_id}/disagreement.png"):
        assert code(study.first.get(f"/studies/{study.id}/{path}")) == (409, "study_open")
    assert code(study.save(study.third, 0, some_mask())) == (403, "not_a_reader")
    assert code(study.save(service.client_of(Role.VIEWER), 0, some_mask()))[0] == 403
    assert code(study.first.post(f"/studies/{study.id}/close")) == (403, "not_allowed")
    closed = service.client.post(f"/studies/{study.id}/close").raise_for_status().json()
    assert closed["state"] == "closed"
    assert code(service.client.post(f"/studies/{study.id}/close")) == (409, "study_closed")
    assert code(study.save(study.second, 0, some_mask())) == (409, "study_closed")
    np.testing.assert_array_equal(pixels(study.mask_of(study.second, study.first)), some_mask(2))
    assert put(study.third, patch_id, some_mask()).status_code == 201, "it is a patch again"


def test_agreement_is_of_what_both_have_judged(service: Service) -> None:
    study = begun(service)
    masks = {
        (reader, patch): some_mask(2 * patch + number)
        for number, reader in enumerate((study.first, study.second))
        for patch in (0, 1)
    }
    masks[study.second, 1] = masks[study.first, 1].copy()
    masks[study.second, 1][:16] = 255 - masks[study.second, 1][:16] // 255 * 255
    masks[study.second, 1][masks[study.first, 1] == 127] = 127
    for (reader, patch), mask in masks.items():
        assert study.save(reader, patch, mask).status_code == 201
    service.client.post(f"/studies/{study.id}/close").raise_for_status()
    answer = study.third.get(f"/studies/{study.id}/agreement").raise_for_status().json()
    judged = [
        (masks[study.first, patch] != 127) & (masks[study.second, patch] != 127) for patch in (0, 1)
    ]
    by_id = sorted((study.first, study.second), key=me)
    one, other = (
        np.concatenate([(masks[reader, patch] == 255)[judged[patch]] for patch in (0, 1)])
        for reader in by_id
    )
    [pair] = answer["pairs"]
    assert (pair["patches"], pair["pixels"]) == (2, len(one))
    assert pair["readers"] == [me(each) for each in by_id]
    assert pair["differing_px"] == (one != other).sum()
    # beside another library's figures
    assert pair["dice"] == pytest.approx(f1_score(one, other))
    assert pair["kappa"] == pytest.approx(cohen_kappa_score(one, other))
    assert [each["patch_id"] for each in answer["patches"]] == study.patch_ids, "most first"
    place = answer["patches"][0]["disagreement"].removeprefix("/api/v1")
    shown = pixels(study.third.get(place))
    differ = (masks[study.first, 0] != masks[study.second, 0]) & judged[0]
    np.testing.assert_array_equal(shown == 255, differ)


def test_the_trail_of_an_open_study_shows_no_mask(service: Service) -> None:
    study = begun(service)
    study.save(study.first, 0, some_mask(1)).raise_for_status()
    study.save(study.first, 0, some_mask(2), base=1).raise_for_status()
    trail = service.client.get("/audit", params={"subject_id": study.id}).json()["items"]
    read = [row["details"] for row in trail if row["action"] == "study.read"]
    # an administrator may be a reader: equal hashes are equal masks
    assert read == [{"patch_id": study.patch_ids[0]}] * 2


def test_agreement_takes_turns_and_goes_patch_by_patch(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = begun(service)
    for number, reader in enumerate((study.first, study.second)):
        for patch in (0, 1):
            study.save(reader, patch, some_mask(2 * patch + number)).raise_for_status()
    service.client.post(f"/studies/{study.id}/close").raise_for_status()
    steps: list[str] = []

    def noted(module: Any, name: str) -> None:
        function = getattr(module, name)

        def noting(*args: Any) -> Any:
            steps.append(name)
            return function(*args)

        monkeypatch.setattr(module, name, noting)

    noted(masks, "decode")
    noted(agreement, "compared")
    study.third.get(f"/studies/{study.id}/agreement").raise_for_status()
    assert steps == ["decode", "decode", "compared"] * 2, "no more than one patch's at a time"
    monkeypatch.setattr(turns, "MOST_WAITING", 0)
    full = study.third.get(f"/studies/{study.id}/agreement")
    assert (code(full), full.headers["Retry-After"]) == ((503, "too_busy"), "5")


def test_agreement_of_nothing_is_no_number() -> None:
    empty = np.zeros((256, 256), np.uint8)
    nothing = compared(empty, empty)
    assert (nothing.dice, nothing.kappa, nothing.pixels) == (None, None, 256 * 256)
    assert (Counts().dice, Counts().kappa) == (None, None)
    full = np.full((256, 256), 255, np.uint8)
    assert (compared(full, empty).dice, compared(full, empty).kappa) == (0, 0)
    half = empty.copy()
    half[:128] = 255
    assert (compared(half, half).dice, compared(half, half).kappa) == (1, 1)


def test_a_third_person_decides_and_can_take_it_back(service: Service) -> None:
    study = begun(service)
    for number, reader in enumerate((study.first, study.second)):
        for patch in (0, 1):
            study.save(reader, patch, some_mask(patch + 3 * number)).raise_for_status()
    patch_id, other_id = study.patch_ids
    place = f"/patches/{patch_id}/adjudication"
    taken = {"study_id": study.id, "reader_id": me(study.second), "comment": "Tangential cut."}
    assert code(decide(study.third, place, taken)) == (409, "study_open")
    service.client.post(f"/studies/{study.id}/close").raise_for_status()
    assert code(decide(study.first, place, taken)) == (403, "own_reading")
    assert code(take_back(study.third, place, 0)) == (404, "no_adjudication")
    decided = decide(study.third, place, taken)
    assert (decided.status_code, decided.json()["revision"]) == (201, 1)
    np.testing.assert_array_equal(
        pixels(study.third.get(f"/patches/{patch_id}/annotation.png")), some_mask(3)
    )
    assert service.client.get(f"/patches/{patch_id}").json()["state"] == "annotated"
    assert code(decide(study.third, place, taken)) == (409, "adjudicated")
    assert code(take_back(study.first, place, 1)) == (403, "own_reading"), "nor takes it back"
    undone = take_back(study.third, place, 1).raise_for_status().json()
    assert (undone["revision"], undone["undone_by"]) == (2, me(study.third))
    after = service.client.get(f"/patches/{patch_id}").json()
    assert (after["state"], after["unseen_px"]) == ("partial", 256 * 256), "counts for nothing"
    assert len(service.client.get(f"/patches/{patch_id}/annotations").json()["items"]) == 2
    # decided anew by a mask that nobody has drawn before, and what was before comes back
    drawn = {"study_id": study.id, "mask_png_base64": base64.b64encode(png(some_mask(9))).decode()}
    assert decide(study.third, place, drawn, 2).json()["revision"] == 3
    put(study.third, patch_id, some_mask(5), if_match='"r3"').raise_for_status()
    assert code(take_back(study.third, place, 4)) == (409, "annotated_since")
    put(study.third, other_id, some_mask(7)).raise_for_status()
    other = f"/patches/{other_id}/adjudication"
    decide(study.third, other, drawn, 1).raise_for_status()
    take_back(study.third, other, 2).raise_for_status()
    np.testing.assert_array_equal(
        pixels(study.third.get(f"/patches/{other_id}/annotation.png")), some_mask(7)
    )
    kept = {row["action"] for row in service.client.get("/audit?limit=200").json()["items"]}
    assert {
        "study.made",
        "study.read",
        "study.closed",
        "adjudication.made",
        "adjudication.undone",
    } <= kept


def closed(service: Service) -> tuple[Reading, str, dict[str, Any]]:
    """Return a study that was read and closed, where its first patch is decided, and as what."""
    study = begun(service)
    for number, reader in enumerate((study.first, study.second)):
        study.save(reader, 0, some_mask(number)).raise_for_status()
    service.client.post(f"/studies/{study.id}/close").raise_for_status()
    taken = {"study_id": study.id, "reader_id": me(study.second)}
    return study, f"/patches/{study.patch_ids[0]}/adjudication", taken


def test_a_decision_is_made_on_what_its_maker_has_seen(service: Service) -> None:
    study, place, taken = closed(service)
    patch_id = study.patch_ids[0]
    for blind in (study.third.post(place, json=taken), study.third.delete(place)):
        assert code(blind) == (428, "precondition_required")
    put(study.first, patch_id, some_mask(5)).raise_for_status()
    late = decide(study.third, place, taken)
    assert (code(late), late.headers["ETag"]) == ((412, "stale"), '"r1"')
    mask = f"/patches/{patch_id}/annotation.png"
    np.testing.assert_array_equal(pixels(study.third.get(mask)), some_mask(5))
    # one's own mask of a moment ago is no decision either
    put(study.third, patch_id, some_mask(1), if_match='"r1"').raise_for_status()
    assert code(decide(study.third, place, taken, 1)) == (412, "stale")
    decide(study.third, place, taken, 2).raise_for_status()
    assert code(take_back(study.third, place, 2)) == (412, "stale")
    take_back(study.third, place, 3).raise_for_status()


def test_of_two_who_decide_at_once_one_is_told(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, place, taken = closed(service)
    prepare = annotations.prepare
    meanwhile: list[Callable[[], Any]] = []

    def slowly(*args: Any) -> Any:
        prepared = prepare(*args)
        if meanwhile:
            meanwhile.pop()().raise_for_status()
        return prepared

    monkeypatch.setattr(annotations, "prepare", slowly)
    # the second click overtakes the first
    meanwhile.append(lambda: decide(study.third, place, taken))
    assert code(decide(study.third, place, taken)) == (409, "adjudicated")
    meanwhile.append(lambda: take_back(study.third, place, 1))
    assert code(take_back(study.third, place, 1)) == (409, "annotated_since")
    assert service.client.get(f"/patches/{study.patch_ids[0]}").json()["revision"] == 2
    kept = [row["action"] for row in service.client.get("/audit?limit=200").json()["items"]]
    assert [kept.count(f"adjudication.{each}") for each in ("made", "undone")] == [1, 1]


def test_a_slide_that_is_read_keeps_its_patches(service: Service) -> None:
    study = begun(service)
    study.save(study.first, 0, some_mask(1)).raise_for_status()
    patch = service.client.get(f"/patches/{study.patch_ids[0]}").raise_for_status().json()
    slide = f"/slides/{patch['slide_id']}"
    present = service.client.get(slide).json()["mpp"]
    for _ in ("open", "closed"):
        assert code(service.client.patch(slide, json={"mpp": 0.5})) == (409, "slide_in_use")
        assert code(service.client.delete(slide)) == (409, "slide_in_use")
        service.client.post(f"/studies/{study.id}/close")
    assert service.client.patch(slide, json={"mpp": present}).status_code == 200, "none is changed"
    np.testing.assert_array_equal(pixels(study.mask_of(study.first, study.first)), some_mask(1))


def test_no_study_begins_on_a_slide_that_is_read_anew(service: Service) -> None:
    slide_id = predicted_slide(service)
    ids = [each["id"] for each in patches_of(service.client, slide_id)[:2]]
    readers = [me(service.client_of(Role.PATHOLOGIST)) for _ in range(2)]
    # its patches are still there, and go when the worker comes to it
    service.client.patch(f"/slides/{slide_id}", json={"mpp": 0.5}).raise_for_status()
    wish = {"name": "Round 1", "readers": readers, "patch_ids": ids}
    assert code(service.client.post("/studies", json=wish)) == (409, "slide_not_ready")


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_who_makes_a_study_and_who_saves_take_turns(service: Service) -> None:
    slide_id = predicted_slide(service)
    ids = [each["id"] for each in patches_of(service.client, slide_id)[:2]]
    readers = [me(service.client_of(Role.PATHOLOGIST)) for _ in range(2)]
    wish = {"name": "Round 1", "readers": readers, "patch_ids": ids}
    with ThreadPoolExecutor(1) as other:
        # as a save does: the patch, and what keeps its study's readers blind when it is written
        with service.database.writing() as session:
            patches.hold(session, ids[:1])
            made = other.submit(service.client.post, "/studies", json=wish)
            wait_for_lock(service)
            alone(session, f"study {ids[0]}")
        assert made.result().status_code == 201, made.result().text


def wait_for_lock(service: Service) -> None:
    """Return when a connection waits for what another one holds."""
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    for _ in range(200):
        with service.database.reading() as session:
            if session.scalar(waits):
                return
        time.sleep(0.05)
    pytest.fail("nobody waits")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_what_can_not_be_a_study(service: Service) -> None:
    study = begun(service)
    readers = [me(study.first), me(study.second)]
    free = ready_slide(service, seed=4)
    unseen = patches_of(service.client, free)[0]["id"]
    good = {"name": "x", "readers": readers, "patch_ids": study.patch_ids}
    viewer = me(service.client_of(Role.VIEWER))
    for wrong, wanted in (
        ({"readers": readers[:1]}, (422, "invalid")),
        ({"readers": [readers[0], viewer]}, (422, "reader_may_not_annotate")),
        ({"readers": [readers[0], "nobody"]}, (404, "user_not_found")),
        ({"patch_ids": []}, (422, "invalid")),
        ({"patch_ids": ["none"]}, (404, "patch_not_found")),
        ({"patch_ids": [unseen]}, (409, "patch_not_free")),
        ({"name": "  "}, (422, "invalid")),
        ({}, (409, "patch_in_study")),
    ):
        assert code(service.client.post("/studies", json=good | wrong)) == wanted, wrong
    assert len(service.client.get("/studies").json()["items"]) == 1, "nothing half made"
    assert code(study.first.post("/studies", json=good)) == (403, "not_allowed")
    assert code(service.client.get("/studies/none")) == (404, "study_not_found")
    assert code(study.save(study.first, 0, np.zeros((8, 8), np.uint8))) == (422, "mask_wrong_size")
    place = f"/patches/{study.patch_ids[0]}/adjudication"
    for both in ({}, {"reader_id": readers[0], "mask_png_base64": "AAAA"}):
        answer = decide(study.third, place, {"study_id": study.id, **both})
        assert code(answer) == (422, "invalid")
    elsewhere = f"/studies/{study.id}/patches/{unseen}/readings/{readers[0]}.png"
    assert code(study.first.get(elsewhere)) == (404, "patch_not_in_study")
