"""Edits over REST: tiles painted together are saved all or none, and unseen is no background."""

import threading
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from backend.learning.annotations.tables import Annotation
from backend.people.audit.tables import AuditEntry
from backend.people.users.tables import Role
from backend.slides.patches.tables import Patch
from tests.api.test_hostile_masks import HOSTILE
from tests.conftest import Service
from tests.support.edits import (
    UNCHANGED,
    UNSEEN,
    complete,
    difference,
    painted,
    post,
    tile,
    whole,
)
from tests.support.ready import (
    Mask,
    code,
    patches_of,
    pixels,
    predicted_slide,
    put,
    ready_slide,
    some_mask,
)


def mask_of(service: Service, patch_id: str) -> Mask:
    return pixels(service.client.get(f"/patches/{patch_id}/annotation.png"))


def revision_count(service: Service) -> int:
    with service.database.reading() as session:
        return session.scalar(select(func.count()).select_from(Annotation)) or 0


def by_position(service: Service, slide_id: str) -> list[dict[str, Any]]:
    return patches_of(service.client, slide_id, order="position")


def test_tiles_are_saved_together_bit_for_bit(service: Service) -> None:
    slide_id = ready_slide(service)
    one, two, three = by_position(service, slide_id)[:3]
    masks = [painted(0), some_mask(1), painted(2)]
    tiles = [tile(each, mask) for each, mask in zip((one, two, three), masks, strict=True)]
    answer = post(service.client, slide_id, *reversed(tiles), seconds_spent=9, source="scratch")
    assert answer.status_code == 201, answer.text
    saved = answer.json()["tiles"]
    assert [each["patch_id"] for each in saved] == [one["id"], two["id"], three["id"]]
    assert [(each["x"], each["y"]) for each in saved] == [
        (each["x"], each["y"]) for each in (one, two, three)
    ]
    assert [each["revision"] for each in saved] == [1, 1, 1]
    assert [each["etag"] for each in saved] == ['"r1"'] * 3
    assert [each["state"] for each in saved] == ["partial", "annotated", "partial"]
    assert [each["unseen_px"] for each in saved] == [256 * 128, 0, 256 * 128]
    for each, mask in zip(saved, masks, strict=True):
        assert (mask_of(service, each["patch_id"]) == mask).all()
        shown = service.client.get(f"/patches/{each['patch_id']}")
        assert shown.headers["ETag"] == each["etag"]
        assert shown.json()["state"] == each["state"]
        assert shown.json()["unseen_px"] == each["unseen_px"]
    spent = [each["annotation"]["seconds_spent"] for each in saved]
    assert sum(spent) == pytest.approx(9)
    assert spent[0] == pytest.approx(9 / 4), "by the pixels that changed: half of one, all, half"
    assert {each["annotation"]["source"] for each in saved} == {"scratch"}
    with service.database.reading() as session:
        entries = session.scalars(
            select(AuditEntry.subject_id).where(AuditEntry.action == "annotation.saved")
        ).all()
    assert sorted(entries) == sorted(each["patch_id"] for each in saved)


def test_a_difference_changes_what_it_names_and_nothing_else(service: Service) -> None:
    slide_id = ready_slide(service)
    patch = by_position(service, slide_id)[0]
    diff = np.full((256, 256), UNCHANGED, np.uint8)
    diff[10:20, 10:20] = 255
    first = post(service.client, slide_id, difference(patch, diff)).json()["tiles"][0]
    expected = np.full((256, 256), UNSEEN, np.uint8)
    expected[10:20, 10:20] = 255
    assert (mask_of(service, patch["id"]) == expected).all()
    assert first["unseen_px"] == 256 * 256 - 100
    diff[10:12, 10:20] = UNSEEN
    diff[12:14, 10:20] = 0
    diff[14:16, 10:20] = 127
    diff[16:20, 10:20] = UNCHANGED
    answer = post(service.client, slide_id, difference(patch, diff, base=1))
    assert answer.status_code == 201
    expected[10:12, 10:20], expected[12:14, 10:20], expected[14:16, 10:20] = UNSEEN, 0, 127
    assert (mask_of(service, patch["id"]) == expected).all()
    put(service.client, patch["id"], some_mask(), if_match='"r2"').raise_for_status()
    stroke = np.full((256, 256), UNCHANGED, np.uint8)
    stroke[:3] = 255
    on_whole = post(service.client, slide_id, difference(patch, stroke, base=3)).json()["tiles"][0]
    assert on_whole["state"] == "annotated", "a stroke on a complete mask leaves it complete"
    assert (mask_of(service, patch["id"])[3:] == some_mask()[3:]).all()


def test_who_comes_late_hears_which_tiles_moved_and_nothing_is_half(service: Service) -> None:
    slide_id = ready_slide(service)
    one, two, three = by_position(service, slide_id)[:3]
    other = service.client_of(Role.PATHOLOGIST)
    post(other, slide_id, tile(one, painted(5)), tile(two, painted(6))).raise_for_status()
    post(other, slide_id, tile(two, painted(7), base=1)).raise_for_status()
    before = revision_count(service)
    tiles = [tile(each, painted(8)) for each in (one, two, three)]
    answer = post(service.client, slide_id, *tiles)
    assert code(answer) == (412, "stale")
    moved = answer.json()["tiles"]
    assert [(each["patch_id"], each["revision"], each["etag"]) for each in moved] == [
        (one["id"], 1, '"r1"'),
        (two["id"], 2, '"r2"'),
    ]
    assert all(each["author"]["username"] for each in moved)
    assert [(each["x"], each["y"]) for each in moved] == [(e["x"], e["y"]) for e in (one, two)]
    assert revision_count(service) == before
    assert service.client.get(f"/patches/{three['id']}").json()["revision"] == 0
    ahead = post(service.client, slide_id, tile(three, painted(), base=4))
    assert code(ahead) == (412, "stale")
    assert ahead.json()["tiles"][0]["revision"] == 0


def test_an_edit_sent_again_writes_nothing_twice(service: Service) -> None:
    slide_id = ready_slide(service)
    one, two = by_position(service, slide_id)[:2]
    sent = [tile(one, painted(1)), difference(two, painted(2))]
    first = post(service.client, slide_id, *sent)
    again = post(service.client, slide_id, *sent)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert revision_count(service) == 2
    assert post(service.client_of(Role.PATHOLOGIST), slide_id, *sent).status_code == 412
    more = post(service.client, slide_id, *sent, tile(by_position(service, slide_id)[2], painted()))
    assert more.status_code == 412, "it is not the edit that was saved"
    assert revision_count(service) == 2


def test_of_two_edits_that_overlap_one_is_told(service: Service) -> None:
    slide_id = ready_slide(service, width=1024, height=768)
    places = by_position(service, slide_id)[:5]
    clients = [service.client_of(Role.PATHOLOGIST) for _ in range(4)]
    wanted = [places[:3], places[2::-1], places[1:4], places[4:0:-1]]
    start = threading.Barrier(len(clients))
    statuses: dict[int, int] = {}

    def save(index: int) -> None:
        tiles = [tile(each, painted(index)) for each in wanted[index]]
        start.wait()
        statuses[index] = post(clients[index], slide_id, *tiles).status_code

    threads = [threading.Thread(target=save, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [index for index, status in statuses.items() if status == 201]
    assert sorted(statuses.values()) == [201, 412, 412, 412], "all of them hold the third tile"
    shown = {each["id"]: each["revision"] for each in by_position(service, slide_id)}
    written = {each["id"] for each in wanted[winners[0]]}
    assert {patch_id for patch_id, revision in shown.items() if revision} == written
    assert set(shown.values()) <= {0, 1}


def without_patch(service: Service, slide_id: str) -> dict[str, Any]:
    """Take away the last patch of a slide as if it lay on bare glass; return what it was."""
    patch = by_position(service, slide_id)[-1]
    with service.database.writing() as session:
        session.delete(session.get_one(Patch, patch["id"]))
    return patch


def test_where_there_is_no_patch_one_is_made(service: Service) -> None:
    slide_id = ready_slide(service)
    gone = without_patch(service, slide_id)
    count = service.client.get(f"/slides/{slide_id}").json()["patch_count"]
    neighbour = by_position(service, slide_id)[-1]
    new = {**tile(gone, painted()), "base_revision": None}
    answer = post(service.client, slide_id, new, tile(neighbour, painted(1)))
    assert answer.status_code == 201, answer.text
    made = answer.json()["tiles"][1]
    assert (made["x"], made["y"], made["revision"]) == (gone["x"], gone["y"], 1)
    shown = service.client.get(f"/patches/{made['patch_id']}").json()
    assert (shown["row"], shown["column"], shown["size"]) == (
        gone["row"],
        gone["column"],
        gone["size"],
    )
    assert shown["tissue_fraction"] is None
    assert (mask_of(service, made["patch_id"]) == painted()).all()
    assert service.client.get(f"/slides/{slide_id}").json()["patch_count"] == count + 1
    again = post(service.client, slide_id, new, tile(neighbour, painted(1)))
    assert again.status_code == 200
    assert again.json() == answer.json()


def test_of_two_who_make_the_same_patch_one_is_told(service: Service) -> None:
    slide_id = ready_slide(service)
    gone = without_patch(service, slide_id)
    clients = [service.client_of(Role.PATHOLOGIST) for _ in range(3)]
    start = threading.Barrier(len(clients))
    statuses: list[int] = []

    def save(index: int) -> None:
        start.wait()
        statuses.append(post(clients[index], slide_id, tile(gone, painted(index))).status_code)

    threads = [threading.Thread(target=save, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, 412, 412]
    places = [(each["row"], each["column"]) for each in by_position(service, slide_id)]
    assert places.count((gone["row"], gone["column"])) == 1
    assert revision_count(service) == 1


def test_tiles_that_are_none_are_refused_in_plain_words(service: Service) -> None:
    slide_id = ready_slide(service)
    patch = by_position(service, slide_id)[0]
    good = tile(patch, painted())
    for x, y, word in (
        (patch["x"] + 7, patch["y"], "tile_off_grid"),
        (-256, 0, "tile_outside"),
        (1e9, 0, "tile_outside"),
        (0, 512, "tile_outside"),
    ):
        answer = post(service.client, slide_id, good, {**good, "x": x, "y": y})
        assert code(answer) == (422, word), answer.text
        assert len(answer.json()["detail"]) > 40
    assert code(post(service.client, slide_id, good, good)) == (422, "tile_twice")
    assert code(post(service.client, slide_id)) == (422, "invalid")
    assert code(post(service.client, slide_id, *[good] * 65)) == (422, "invalid")
    both = {**good, "diff": good["mask_png_base64"]}
    neither = {name: good[name] for name in ("x", "y", "base_revision")}
    for wrong in (both, neither, {**good, "base_revision": -1}, {**good, "x": "left"}):
        assert code(post(service.client, slide_id, wrong)) == (422, "invalid")
    assert code(post(service.client, "none", good)) == (404, "slide_not_found")
    for seconds in (-1, 1e9):
        answer = post(service.client, slide_id, good, seconds_spent=seconds)
        assert code(answer) == (422, "invalid")
    viewer = service.client_of(Role.VIEWER)
    assert code(post(viewer, slide_id, good)) == (403, "not_allowed")
    assert revision_count(service) == 0


def test_hostile_masks_take_all_of_the_edit_with_them(service: Service) -> None:
    slide_id = ready_slide(service)
    one, two = by_position(service, slide_id)[:2]
    before = len(list(service.blobs))
    for name, (content, status, word) in HOSTILE.items():
        answer = post(service.client, slide_id, tile(one, painted()), tile(two, content))
        # what is too large for one mask is too large for a body, too
        expected = (413, "too_large") if status == 413 else (status, word)
        assert code(answer) == expected, name
    no_text = {**tile(one, painted()), "mask_png_base64": "{}"}
    assert code(post(service.client, slide_id, no_text)) == (422, "mask_not_png")
    unchanged = tile(one, np.full((256, 256), UNCHANGED, np.uint8))
    assert code(post(service.client, slide_id, unchanged)) == (422, "mask_wrong_values")
    assert revision_count(service) == 0
    assert len(list(service.blobs)) == before


def test_a_plain_mask_stays_complete(service: Service) -> None:
    patch = by_position(service, ready_slide(service))[0]
    answer = put(service.client, patch["id"], painted())
    assert code(answer) == (422, "mask_wrong_values")
    assert "63" in answer.json()["detail"]


def test_an_approved_tile_stops_the_edit_and_is_named(service: Service) -> None:
    slide_id = ready_slide(service)
    one, two = by_position(service, slide_id)[:2]
    put(service.client_of(Role.PATHOLOGIST), two["id"], some_mask()).raise_for_status()
    service.client.post(
        f"/patches/{two['id']}/review", json={"verdict": "approved"}
    ).raise_for_status()
    tiles = [tile(one, painted()), tile(two, painted(), base=1)]
    answer = post(service.client, slide_id, *tiles)
    assert code(answer) == (409, "patch_state")
    assert [each["patch_id"] for each in answer.json()["tiles"]] == [two["id"]]
    assert service.client.get(f"/patches/{one['id']}").json()["revision"] == 0


def test_what_is_painted_in_part_waits_and_stays_in_its_painter_s_hands(service: Service) -> None:
    slide_id = predicted_slide(service)
    leased = service.client.get("/queue/next", params={"slide_id": slide_id}).json()["patch"]
    other = next(each for each in by_position(service, slide_id) if each["id"] != leased["id"])
    post(service.client, slide_id, tile(leased, painted()), tile(other, painted()))
    mine = service.client.get(f"/patches/{leased['id']}").json()
    assert (mine["state"], mine["lease"]["mine"]) == ("in_annotation", True)
    assert service.client.get(f"/patches/{other['id']}").json()["state"] == "partial"
    late = service.client_of(Role.PATHOLOGIST)
    answer = post(late, slide_id, tile(leased, painted(1), base=1))
    assert answer.json()["tiles"][0]["taken_from"]["id"] == mine["lease"]["user_id"]
    assert answer.json()["tiles"][0]["state"] == "partial"
    offered = set()
    while (next_one := late.get("/queue/next", params={"slide_id": slide_id})).status_code == 200:
        patch = next_one.json()["patch"]
        offered.add(patch["id"])
        put(late, patch["id"], some_mask(), if_match=f'"r{patch["revision"]}"').raise_for_status()
    assert {leased["id"], other["id"]} <= offered, "nobody has said that they are complete"


def test_complete_turns_what_is_unseen_into_what_is_shown(service: Service) -> None:
    slide_id = predicted_slide(service)
    one, two, three, four = by_position(service, slide_id)[:4]
    proposal = pixels(service.client.get(f"/patches/{one['id']}/proposal.png"))
    assert proposal.any()
    post(service.client, slide_id, tile(one, painted()), tile(two, painted(1))).raise_for_status()
    answer = complete(service.client, one["id"], 1, seconds_spent=3)
    assert answer.status_code == 201, answer.text
    assert answer.headers["ETag"] == '"r2"'
    body = answer.json()
    assert (body["patch"]["state"], body["patch"]["unseen_px"]) == ("annotated", 0)
    assert body["annotation"]["source"] == "edited"
    assert body["annotation"]["seconds_spent"] == 3
    expected = whole(painted(), proposal)
    assert (mask_of(service, one["id"]) == expected).all()
    assert complete(service.client, one["id"], 1).status_code == 200, "sent again"
    assert complete(service.client, one["id"], 2).json()["annotation"] == body["annotation"]
    as_background = complete(service.client, two["id"], 1, unseen="background").json()
    assert as_background["annotation"]["source"] == "scratch"
    assert (mask_of(service, two["id"]) == whole(painted(1))).all()
    untouched = complete(service.client, three["id"], 0).json()
    assert untouched["annotation"]["source"] == "proposal", "the proposal is accepted as it is"
    assert untouched["annotation"]["model_version_id"] == three["model_version_id"]
    assert code(complete(service.client, four["id"], 3)) == (412, "stale")
    bare = service.client.post(f"/patches/{four['id']}/complete")
    assert code(bare) == (428, "precondition_required")
    late = service.client_of(Role.PATHOLOGIST)
    assert code(complete(late, one["id"], 1)) == (412, "stale")
    assert code(complete(service.client_of(Role.VIEWER), four["id"], 0)) == (403, "not_allowed")


def test_complete_without_a_proposal_is_background(service: Service) -> None:
    slide_id = ready_slide(service)
    patch = by_position(service, slide_id)[0]
    post(service.client, slide_id, tile(patch, painted())).raise_for_status()
    answer = complete(service.client, patch["id"], 1)
    assert answer.json()["patch"]["state"] == "annotated"
    assert (mask_of(service, patch["id"]) == whole(painted())).all()
    unknown = complete(
        service.client, by_position(service, slide_id)[1]["id"], 0, model_version="x"
    )
    assert code(unknown) == (404, "model_version_not_found")


def test_an_earlier_part_is_shown_and_brought_back_as_it_was(service: Service) -> None:
    slide_id = ready_slide(service)
    patch = by_position(service, slide_id)[0]
    post(service.client, slide_id, tile(patch, painted())).raise_for_status()
    complete(service.client, patch["id"], 1).raise_for_status()
    listed = service.client.get(f"/patches/{patch['id']}/annotations").json()["items"]
    assert [each["unseen_px"] for each in listed] == [0, 256 * 128]
    seen = service.client.get(f"/patches/{patch['id']}/annotations/1.png")
    assert (pixels(seen) == painted()).all()
    back = service.client.post(
        f"/patches/{patch['id']}/annotations/1/restore", headers={"If-Match": '"r2"'}
    )
    assert back.json()["patch"]["state"] == "partial"
    assert (mask_of(service, patch["id"]) == painted()).all()


def test_only_what_is_complete_is_reviewed_and_counted(service: Service) -> None:
    slide_id = ready_slide(service)
    one, two = by_position(service, slide_id)[:2]
    post(service.client, slide_id, tile(one, painted()), tile(two, some_mask())).raise_for_status()
    slide = service.client.get(f"/slides/{slide_id}").json()
    assert slide["annotated_count"] == 1
    assert slide["patch_counts"]["partial"] == 1
    reviewer = service.client_of(Role.PATHOLOGIST)
    answer = reviewer.post(f"/patches/{one['id']}/review", json={"verdict": "approved"})
    assert code(answer) == (409, "patch_state")
    assert "partial" in answer.json()["detail"]
