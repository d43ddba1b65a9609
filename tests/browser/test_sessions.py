"""A browser's session, which all its tabs share: begun anew, ended, or somebody else's by now."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import PASSWORD, sign_in
from tests.support.drawing import (
    PATIENCE,
    draw_row,
    drawn_px,
    expect_state,
    newest,
    open_patch,
    revisions,
    rows_of,
    stroke,
    untouched,
)
from tests.support.installation import Installation, until

pytestmark = pytest.mark.slow
SIGN_IN = """(credentials) => fetch("api/v1/session", {
  method: "POST",
  headers: {"Content-Type": "application/json"},
  body: JSON.stringify(credentials),
}).then((answer) => answer.status)"""
"""As a page of another origin of this browser would, which tells no tab of it."""


@pytest.fixture
def patch(page: Page, slide_id: str, installation: Installation) -> str:
    """A patch with strokes that are not saved."""
    [patch_id] = untouched(installation, slide_id)
    open_patch(page, slide_id, patch_id)
    draw_row(page, 40)
    return patch_id


def in_another_tab(page: Page, username: str) -> None:
    tab = page.context.new_page()
    tab.goto(page.url.partition("#")[0])
    credentials = {"username": username, "password": PASSWORD}
    assert tab.evaluate(SIGN_IN, credentials) == 200
    tab.close()


@pytest.mark.parametrize("order", ["saved after", "waiting before"])
def test_who_signs_in_anew_in_another_tab_saves_as_before(
    page: Page, patch: str, installation: Installation, order: str
) -> None:
    waiting = order == "waiting before"
    if waiting:
        page.context.route("**/annotation?*", lambda route: route.abort())
        page.get_by_test_id("save").click()
        expect_state(page, "waiting")
    in_another_tab(page, "admin")
    if waiting:
        page.context.unroute("**/annotation?*")
    else:
        page.get_by_test_id("save").click()
    expect_state(page, "saved")
    assert rows_of(newest(installation, patch)) == {40}
    # without asking anew each time
    draw_row(page, 80)
    page.get_by_test_id("save").click()
    expect_state(page, "saved")
    assert [each["revision"] for each in revisions(installation, patch)] == [1, 2]


@pytest.mark.parametrize("way", ["found out", "told"])
def test_somebody_else_in_another_tab_is_named_and_nothing_is_saved_under_their_name(
    page: Page, patch: str, colleague_name: str, installation: Installation, way: str
) -> None:
    told = way == "told"
    # of all tabs: any of them sends what waits
    page.context.route("**/annotation?*", lambda route: route.abort())
    page.get_by_test_id("save").click()
    expect_state(page, "waiting")
    if told:
        tab = page.context.new_page()
        tab.goto(page.url.partition("#")[0])
        tab.get_by_test_id("sign-out").click()
        tab.get_by_test_id("choice-leave").click()
        # signed out there, signed out here
        expect(page.get_by_test_id("sign-in-error")).to_contain_text("Your session has ended")
        sign_in(tab, colleague_name)
        expect(tab.get_by_test_id("user-name")).to_have_text(colleague_name)
        expect(tab.get_by_test_id("unsaved-button")).to_have_count(0)
    else:
        in_another_tab(page, colleague_name)
        page.context.unroute("**/annotation?*")
        page.get_by_test_id("back-to-slides").click(no_wait_after=True)
        expect(page.get_by_test_id("sign-in-error")).to_contain_text(
            f"{colleague_name} is signed in in this browser now", timeout=PATIENCE
        )
    page.context.unroute("**/annotation?*")
    assert revisions(installation, patch) == []

    sign_in(page, "admin")
    # it still waits, and goes out by itself, under the right name; no button says so yet
    # when somebody has just signed in, so that the service is asked
    [only] = until(lambda: revisions(installation, patch), "the mask that waited")
    expect(page.get_by_test_id("unsaved-button")).to_have_count(0, timeout=PATIENCE)
    assert only["author"]["username"] == "admin"
    assert rows_of(newest(installation, patch)) == {40}
    if told:
        expect(tab.get_by_test_id("sign-in-error")).to_contain_text(
            "admin is signed in in this browser now"
        )


def test_a_save_whose_answer_is_lost_is_no_conflict_with_what_is_drawn_after(
    page: Page, patch: str, installation: Installation
) -> None:
    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/annotation?*", lose, times=1)
    stroke(page, (40, 80), (200, 80))
    page.get_by_test_id("save").click()
    expect_state(page, "waiting")
    stroke(page, (40, 120), (200, 120))
    mine = drawn_px(page)
    expect_state(page, "unsaved")
    page.get_by_test_id("save").click()
    expect_state(page, "saved")
    assert drawn_px(page) == mine
    expect(page.get_by_test_id("conflict")).to_have_count(0)
    assert [each["base_revision"] for each in revisions(installation, patch)] == [0, 1]
    assert rows_of(newest(installation, patch)) == {40, 80, 120}


def test_the_overlay_and_the_patch_are_of_one_version_which_the_save_names(
    page: Page, slide_id: str, installation: Installation
) -> None:
    [patch_id] = untouched(installation, slide_id)
    with page.expect_request("**/overlays/proposal_files/**") as overlay:
        open_patch(page, slide_id, patch_id)
    assert "model_version" not in overlay.value.url
    with installation.client() as client:
        shown = client.get(f"/patches/{patch_id}").raise_for_status().json()["model_version_id"]
    with page.expect_request("**/annotation?*") as saving:
        page.get_by_test_id("accept").click()
    assert f"model_version={shown}" in saving.value.url
    expect_state(page, "saved")
    [only] = revisions(installation, patch_id)
    assert (only["model_version_id"], only["source"]) == (shown, "proposal")
