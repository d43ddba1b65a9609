"""Two people in two browsers on one patch: each learns at once what the other did with it."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_annotator import open_next, open_slide
from tests.support.drawing import (
    PATIENCE,
    draw_row,
    drawn_px,
    expect_state,
    newest,
    open_patch,
    revisions,
    rows_of,
    untouched,
)
from tests.support.installation import Installation
from tests.support.places import on_patch

pytestmark = pytest.mark.slow


def said(page: Page, pattern: str) -> None:
    notice = page.get_by_test_id("notices").locator(".notice").filter(has_text=re.compile(pattern))
    expect(notice).to_be_visible(timeout=PATIENCE)


def test_the_holder_hears_of_an_accept_at_once_and_keeps_their_strokes(
    page: Page, colleague: Page, colleague_name: str, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    patch_id = open_next(page)
    draw_row(page, 80)
    mine = drawn_px(page)

    open_patch(colleague, slide_id, patch_id)
    # before: who has it is said where it is accepted
    expect(colleague.get_by_test_id("leased-by-other")).to_contain_text("admin")
    colleague.get_by_test_id("accept").click()
    expect_state(colleague, "saved")
    said(colleague, "admin had this patch in hand, and has been told")
    expect(colleague.get_by_test_id("leased-by-other")).to_have_count(0)

    # at once: nobody touches the holder's page
    conflict = page.get_by_test_id("conflict")
    expect(conflict).to_contain_text(f"{colleague_name} accepted the proposal", timeout=PATIENCE)
    said(page, f"{colleague_name} accepted the proposal")
    assert drawn_px(page) == mine
    expect(page.get_by_test_id("conflict-theirs")).to_be_enabled()
    page.get_by_test_id("conflict-mine").click()
    expect_state(page, "saved")
    first, second = revisions(installation, patch_id)
    assert (first["author"]["username"], first["source"]) == (colleague_name, "proposal")
    assert second["author"]["username"] == "admin"
    assert rows_of(newest(installation, patch_id)) == {80}
    # the colleague, who has nothing unsaved, sees the newer mask, and whose it is
    expect(colleague.get_by_test_id("editor")).to_have_attribute("data-revision", "2")
    said(colleague, "admin saved revision 2")


def test_a_holder_in_mid_stroke_hears_of_it_and_the_stroke_is_finished(
    page: Page, colleague: Page, colleague_name: str, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    patch_id = open_next(page)
    page.get_by_test_id("clear-mask").click()
    page.get_by_test_id("tool-brush").click()
    page.mouse.move(*on_patch(page, 40, 80))
    page.mouse.down()
    page.mouse.move(*on_patch(page, 100, 80), steps=5)
    page.route("**/annotation.png", lambda route: route.abort())

    open_patch(colleague, slide_id, patch_id)
    draw_row(colleague, 160)
    colleague.get_by_test_id("save").click()
    expect_state(colleague, "saved")

    conflict = page.get_by_test_id("conflict")
    expect(conflict).to_contain_text("Theirs could not be read", timeout=PATIENCE)
    page.mouse.move(*on_patch(page, 200, 80), steps=5)
    page.mouse.up()
    page.unroute("**/annotation.png")
    page.get_by_test_id("conflict-read-theirs").click()
    expect(page.get_by_test_id("conflict-theirs")).to_be_enabled(timeout=PATIENCE)
    page.get_by_test_id("conflict-mine").click()
    expect_state(page, "saved")
    assert rows_of(newest(installation, patch_id)) == {80}


def test_a_holder_looking_elsewhere_hears_of_it_too_and_may_take_theirs(
    page: Page, colleague: Page, colleague_name: str, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    patch_id = open_next(page)
    draw_row(page, 120)
    page.keyboard.press("2")  # another panel is in front
    open_patch(colleague, slide_id, patch_id)
    draw_row(colleague, 160)
    colleague.get_by_test_id("save").click()
    expect_state(colleague, "saved")
    said(page, f"{colleague_name} saved revision 1")
    page.keyboard.press("1")
    page.get_by_test_id("conflict-theirs").click()
    expect_state(page, "clean")
    assert rows_of(newest(installation, patch_id)) == {160}
    page.get_by_test_id("undo").click()  # and one's own pixels are an undo away
    page.get_by_test_id("save").click()
    expect_state(page, "saved")
    assert rows_of(newest(installation, patch_id)) == {120}


def test_a_holder_who_is_on_another_page_is_told_what_became_of_the_patch(
    page: Page, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    patch_id = open_next(page)
    page.get_by_test_id("back-to-slides").click()
    page.get_by_test_id("slide-card").first.wait_for()
    token = installation.run("tokens", "create", "saver", "--role", "pathologist").strip()
    with installation.client() as client:
        client.headers["Authorization"] = f"Bearer {token}"
        proposal = client.get(f"/patches/{patch_id}/proposal.png").content
        answer = client.put(
            f"/patches/{patch_id}/annotation",
            content=proposal,
            params={"source": "proposal"},
            headers={"If-Match": '"r0"'},
        ).raise_for_status()
    assert answer.json()["taken_from"]["username"] == "admin"
    said(page, "accepted the proposal of a patch that you had in hand")


def test_revisions_are_opened_compared_and_restored_by_keyboard(
    page: Page, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    [patch_id] = untouched(installation, slide_id)
    open_patch(page, slide_id, patch_id)
    draw_row(page, 40)
    page.keyboard.press("s")
    expect_state(page, "saved")
    draw_row(page, 60)
    page.keyboard.press("s")
    expect_state(page, "saved")
    expect(page.get_by_test_id("revision")).to_have_count(2)

    page.keyboard.press("r")
    difference = page.get_by_test_id("difference")
    expect(difference).to_contain_text("No pixel differs between revision 2 and the mask in hand")
    page.keyboard.press("r")
    expect(difference).to_contain_text(re.compile(r"\d+ px of membrane only in revision 1"))
    page.get_by_test_id("compare-with").select_option("2")
    expect(difference).to_contain_text("only in revision 2")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("comparison")).to_have_count(0)
    expect(page.get_by_test_id("editor")).to_have_attribute("data-patch-id", patch_id)

    # strokes in hand are not lost by restoring: they become a revision first
    draw_row(page, 200)
    page.get_by_test_id("revision").filter(has_text="1").last.press("Enter")
    restore = page.get_by_test_id("restore")
    expect(restore).to_contain_text("Save mine, then restore revision 1")
    restore.press("Enter")
    editor = page.get_by_test_id("editor")
    expect(editor).to_have_attribute("data-revision", "4", timeout=PATIENCE)
    expect_state(page, "clean")
    said(page, "Revision 1 is back, as revision 4")
    assert rows_of(newest(installation, patch_id)) == {40}
    assert [each["restores"] for each in revisions(installation, patch_id)] == [None] * 3 + [1]
    with installation.client() as client:
        third = client.get(f"/patches/{patch_id}/annotations/3.png").raise_for_status()
    expect(page.get_by_test_id("revision").first).to_contain_text("restored 1")
    assert third.headers["Cache-Control"].endswith("immutable")


def test_an_approval_is_heard_at_once_and_the_mask_stays(
    page: Page, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    [patch_id] = untouched(installation, slide_id)
    open_patch(page, slide_id, patch_id)
    page.keyboard.press("a")
    expect_state(page, "saved")
    draw_row(page, 100)
    with installation.client() as client:
        verdict = {"verdict": "approved", "comment": ""}
        client.post(f"/patches/{patch_id}/review", json=verdict).raise_for_status()
    expect(page.get_by_test_id("approved")).to_be_visible(timeout=PATIENCE)
    page.keyboard.press("r")
    expect(page.get_by_test_id("restore")).to_be_disabled()
    page.keyboard.press("Escape")
    page.get_by_test_id("save").click()
    expect_state(page, "refused")
    assert drawn_px(page) > 0
    assert [each["source"] for each in revisions(installation, patch_id)] == ["proposal"]


def test_who_accepts_what_a_colleague_has_accepted_meanwhile_is_asked_nothing(
    page: Page, colleague: Page, colleague_name: str, slide_id: str, installation: Installation
) -> None:
    [patch_id] = untouched(installation, slide_id)
    open_patch(page, slide_id, patch_id)
    open_patch(colleague, slide_id, patch_id)
    page.context.set_offline(True)
    colleague.get_by_test_id("accept").click()
    expect_state(colleague, "saved")
    page.get_by_test_id("accept").click()
    expect_state(page, "waiting")
    page.context.set_offline(False)
    expect_state(page, "saved")
    expect(page.get_by_test_id("save-state")).to_contain_text(
        f"{colleague_name} accepted the proposal of this patch as revision 1"
    )
    expect(page.get_by_test_id("conflict")).to_have_count(0)
    [only] = revisions(installation, patch_id)
    assert only["author"]["username"] == colleague_name
    # and strokes go on top of it
    draw_row(page, 80)
    page.get_by_test_id("save").click()
    expect_state(page, "saved")
    assert [each["base_revision"] for each in revisions(installation, patch_id)] == [0, 1]
