"""Strokes over the borders of patches: saved together or not at all, undone as one, never lost."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.support.drawing import (
    PATIENCE,
    expect_state,
    expect_written,
    newest,
    open_patch,
    revisions,
    stroke,
)
from tests.support.edits import UNSEEN, difference
from tests.support.installation import Installation

pytestmark = pytest.mark.slow
MEMBRANE, UNCHANGED = 255, 191
START, END = (236, 236), (276, 276)
"""Of a stroke over the lower right corner, where four patches meet."""


CHOSEN: dict[str, list[dict[str, Any]]] = {}
"""By slide: all tests here use the same four, and leave the rest to others."""


@pytest.fixture
def four(slide_id: str, installation: Installation) -> Iterator[list[dict[str, Any]]]:
    """Four patches that meet at a corner, the upper left one first; complete when the test ends."""
    if slide_id not in CHOSEN:
        CHOSEN[slide_id] = choose(slide_id, installation)
    yield CHOSEN[slide_id]
    with installation.client() as client:
        for patch in CHOSEN[slide_id]:
            answer = client.get(f"/patches/{patch['id']}")
            if answer.json()["unseen_px"]:
                whole = client.post(
                    f"/patches/{patch['id']}/complete", headers={"If-Match": answer.headers["ETag"]}
                )
                assert whole.raise_for_status().json()["patch"]["state"] == "annotated"


def choose(slide_id: str, installation: Installation) -> list[dict[str, Any]]:
    """Return four that nobody has painted."""
    with installation.client() as client:
        answer = client.get(f"/slides/{slide_id}/patches", params={"limit": 500})
    free = {
        (each["row"], each["column"]): each
        for each in answer.raise_for_status().json()["items"]
        if each["revision"] == 0 and each["state"] == "proposed"
    }
    for row, column in free:
        places = [(row + down, column + right) for down in (0, 1) for right in (0, 1)]
        if all(place in free for place in places):
            return [free[place] for place in places]
    pytest.fail("No four patches that nobody has painted meet at a corner.")


def counts(installation: Installation, patches: list[dict[str, Any]]) -> list[int]:
    """Return how many revisions each patch has."""
    return [len(revisions(installation, each["id"])) for each in patches]


def cross(
    page: Page, patch: dict[str, Any], start: tuple[int, int] = START, end: tuple[int, int] = END
) -> None:
    """Open a patch, empty it, and draw over its corner."""
    open_patch(page, patch["slide_id"], patch["id"])
    page.get_by_test_id("clear-mask").click()
    page.get_by_test_id("tool-brush").click()
    stroke(page, start, end)
    expect_around(page, 3)


def expect_around(page: Page, count: int) -> None:
    """Wait until the panel says that strokes reach so many patches around the open one."""
    around = page.get_by_test_id("painted-around")
    expect(around).to_have_attribute("data-count", str(count), timeout=PATIENCE)


def test_a_stroke_over_four_patches_is_one_edit_and_one_undo(
    page: Page, four: list[dict[str, Any]], installation: Installation
) -> None:
    hand, *others = four
    cross(page, hand)
    page.get_by_test_id("undo").click()
    expect(page.get_by_test_id("painted-around")).to_have_count(0)
    page.get_by_test_id("redo").click()
    expect_around(page, 3)

    # the tab dies: what it drew on all four is in this browser, and comes back
    expect_written(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.get_by_test_id("draft-restored")).to_be_visible(timeout=PATIENCE)
    expect_around(page, 3)
    with page.expect_response("**/edits") as answer:
        page.get_by_test_id("save").click()
    assert answer.value.status == 201
    expect_state(page, "saved")
    assert counts(installation, four) == [1] * 4

    with installation.client() as client:
        now = [client.get(f"/patches/{each['id']}").json() for each in four]
    assert [each["state"] for each in now] == ["annotated", "partial", "partial", "partial"]
    assert now[0]["unseen_px"] == 0
    drawn = newest(installation, hand["id"])
    assert drawn[255, 255] == MEMBRANE
    corners = [newest(installation, each["id"]) for each in others]
    for corner, place in zip(corners, [(255, 0), (0, 255), (0, 0)], strict=True):
        assert corner[place] == MEMBRANE
        # only touched: what is not painted was not looked at
        assert set(np.unique(corner)) == {UNSEEN, MEMBRANE}

    # a second stroke, around the open patch alone, which is left as it is; undone once it is saved:
    # the same bits as before it
    stroke(page, (200, 270), (270, 270))
    expect_around(page, 2)
    page.get_by_test_id("save").click()
    expect_state(page, "clean")
    assert (newest(installation, others[1]["id"]) != corners[1]).any()
    page.get_by_test_id("undo").click()
    expect_around(page, 2)
    page.get_by_test_id("save").click()
    expect_state(page, "clean")
    assert (newest(installation, hand["id"]) == drawn).all()
    for each, corner in zip(others, corners, strict=True):
        assert (newest(installation, each["id"]) == corner).all()


def test_a_colleague_on_one_of_four_patches_is_asked_about_or_joined(
    page: Page, four: list[dict[str, Any]], colleague_name: str, installation: Installation
) -> None:
    hand, _, below, diagonal = four
    before = counts(installation, four)
    cross(page, hand, (290, 240), (240, 290))
    stroke(page, (100, 100), (110, 100))  # on the open patch, too: else it would be left as it is
    token = installation.run("tokens", "create", "crossing", "--role", "pathologist").strip()
    with installation.client() as client:
        client.headers["Authorization"] = f"Bearer {token}"
        elsewhere = np.full((256, 256), UNCHANGED, np.uint8)
        elsewhere[100:120, 100:120] = MEMBRANE
        same = np.full((256, 256), UNCHANGED, np.uint8)
        same[:40, :40] = 127
        tiles = [
            difference(below, elsewhere, base=before[2]),
            difference(diagonal, same, base=before[3]),
        ]
        client.post(f"/slides/{hand['slide_id']}/edits", json={"tiles": tiles}).raise_for_status()
    page.get_by_test_id("save").click()
    conflict = page.get_by_test_id("conflict")
    expect(conflict).to_contain_text("on a patch around this one", timeout=PATIENCE)
    # all or none: nothing was written, although three of the four were free
    theirs = [before[0], before[1], before[2] + 1, before[3] + 1]
    assert counts(installation, four) == theirs
    expect(page.get_by_test_id("conflict-theirs")).to_be_enabled(timeout=PATIENCE)
    page.get_by_test_id("conflict-mine").click()
    expect_state(page, "saved")
    assert counts(installation, four) == [each + 1 for each in theirs]
    corner = newest(installation, diagonal["id"])
    assert (corner[4, 14], corner[38, 2]) == (MEMBRANE, 127)
    joined = newest(installation, below["id"])
    assert (joined[110, 110], joined[25, 249]) == (MEMBRANE, MEMBRANE)
