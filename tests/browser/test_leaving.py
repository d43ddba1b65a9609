"""Whoever goes on with unsaved strokes is asked, and finds them again with one click."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Dialog, Page, Route, expect

from tests.browser.conftest import sign_in
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
from tests.support.installation import Installation

pytestmark = pytest.mark.slow
RED_CORNERS = """() => {
  const canvas = document.querySelector('[data-testid="mask-layer"]');
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < data.length; i += 4)
    if (data[i] === 255 && data[i + 1] === 92 && data[i + 2] === 92 && data[i + 3] === 255)
      return true;
  return false;
}"""
NOTHING_KEPT = """indexedDB.__proto__.open = () => {
  throw new DOMException("not in a private window", "InvalidStateError");
}"""
OF_A_DELETED_SLIDE = """() => new Promise((resolve) => {
  const asked = indexedDB.open("membrana-drafts", 1);
  asked.onsuccess = () => {
    const writing = asked.result.transaction("drafts", "readwrite");
    const all = writing.objectStore("drafts");
    all.getAll().onsuccess = ({target}) => {
      const [draft] = target.result;
      all.put({...draft, id: "left", patchId: "gone", slideId: "gone", pending: true});
    };
    writing.oncomplete = () => { asked.result.close(); resolve(); };
  };
})"""
COUNTED = """
  navigator.storage.__proto__.persisted = async () => "granted" in localStorage;
  navigator.storage.__proto__.persist = async () => {
    localStorage.asked = Number(localStorage.asked ?? 0) + 1;
    return false;
  };
"""


@pytest.fixture
def patch(page: Page, slide_id: str, installation: Installation) -> str:
    """A patch with strokes that are not saved."""
    [patch_id] = untouched(installation, slide_id)
    open_patch(page, slide_id, patch_id)
    draw_row(page, 40)
    return patch_id


@contextmanager
def held(page: Page, url: str, ask: Callable[[], object]) -> Iterator[None]:
    """Ask the service for something, and let it wait for its answer until the block ends."""
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.route(url, hold, times=1)
    with page.expect_request(url):
        ask()
    yield
    for route in waiting:
        route.continue_()


def answer(page: Page, choice: str) -> None:
    dialog = page.get_by_test_id("choice-dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_test_id(f"choice-{choice}").click()
    expect(dialog).to_have_count(0)


def expect_patch(page: Page, patch_id: str) -> None:
    expect(page.get_by_test_id("editor")).to_have_attribute(
        "data-patch-id", patch_id, timeout=PATIENCE
    )


def test_the_next_patch_asks_and_staying_changes_nothing(page: Page, patch: str) -> None:
    before = drawn_px(page)
    for leave in (
        lambda: page.keyboard.press("n"),
        lambda: page.keyboard.press("x"),
        lambda: page.keyboard.press("Escape"),
        lambda: page.get_by_test_id("next-patch").click(),
        lambda: page.get_by_test_id("close-patch").click(),
        lambda: page.get_by_test_id("back-to-slides").click(),
        lambda: page.get_by_test_id("sign-out").click(),
        page.go_back,
    ):
        address = page.url
        leave()
        answer(page, "stay")
        expect_patch(page, patch)
        assert page.url == address
    page.keyboard.press("n")
    expect(page.get_by_test_id("choice-dialog")).to_be_visible()
    page.locator("#choice-text").click()
    page.keyboard.press("e")  # a key of the editor does nothing behind the question
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("choice-dialog")).to_have_count(0)
    expect(page.get_by_test_id("editor")).to_have_attribute("data-tool", "brush")
    assert drawn_px(page) == before


def test_saving_goes_on_once_it_is_saved(
    page: Page, patch: str, installation: Installation
) -> None:
    page.keyboard.press("n")
    expect(page.get_by_test_id("choice-save")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("editor")).not_to_have_attribute(
        "data-patch-id", patch, timeout=PATIENCE
    )
    assert rows_of(newest(installation, patch)) == {40}
    expect(page.get_by_test_id("unsaved-button")).to_have_count(0)


@pytest.mark.parametrize(
    ("key", "slow"),
    [("n", "**/queue/next*"), ("x", "**/skip"), ("s", "**/queue/next*")],
    ids=["next", "skip", "save and go on"],
)
def test_strokes_made_while_the_next_patch_is_looked_for_are_asked_about(
    page: Page, patch: str, installation: Installation, key: str, slow: str
) -> None:
    if key == "x":  # what is saved is not put aside any more
        while page.get_by_test_id("undo").is_enabled():
            page.get_by_test_id("undo").click()
        expect_state(page, "clean")
    else:
        page.get_by_test_id("save").click()
        expect_state(page, "saved")
    if key == "s":
        page.get_by_test_id("auto-advance").check()
        stroke(page, (40, 80), (200, 80))
    with held(page, slow, lambda: page.keyboard.press(key)):
        stroke(page, (40, 120), (200, 120))
    answer(page, "stay")
    expect_patch(page, patch)
    expect_state(page, "unsaved")
    page.keyboard.press("n")
    answer(page, "save")
    expect(page.get_by_test_id("editor")).not_to_have_attribute(
        "data-patch-id", patch, timeout=PATIENCE
    )
    assert rows_of(newest(installation, patch)) >= {"n": {40, 120}, "x": {120}}.get(
        key, {40, 80, 120}
    )
    expect(page.get_by_test_id("unsaved-button")).to_have_count(0)
    if key == "s":
        page.get_by_test_id("auto-advance").uncheck()


def test_who_goes_on_without_saving_is_asked_once(page: Page, patch: str) -> None:
    page.keyboard.press("n")
    answer(page, "leave")
    expect(page.get_by_test_id("editor")).not_to_have_attribute(
        "data-patch-id", patch, timeout=PATIENCE
    )
    expect(page.get_by_test_id("unsaved-button")).to_contain_text("1 patch")


def test_whoever_goes_elsewhere_meanwhile_is_not_taken_to_the_next_patch(
    page: Page, slide_id: str, installation: Installation
) -> None:
    first, second = untouched(installation, slide_id, 2)
    open_patch(page, slide_id, first)
    with (
        page.expect_response("**/queue/next*"),
        held(page, "**/queue/next*", lambda: page.keyboard.press("n")),
    ):
        open_patch(page, slide_id, second)
    expect(page.get_by_test_id("next-patch")).to_be_enabled()
    expect_patch(page, second)


def test_strokes_left_behind_are_marked_everywhere_and_one_click_away(
    page: Page, patch: str, slide_id: str, installation: Installation
) -> None:
    before = drawn_px(page)
    page.get_by_test_id("close-patch").click()
    answer(page, "leave")
    expect_patch(page, "")
    assert revisions(installation, patch) == []
    # on the slide, in its panel and in the header
    page.wait_for_function(RED_CORNERS)
    page.get_by_test_id("unsaved-here-open").click()
    expect_patch(page, patch)
    assert drawn_px(page) == before

    page.get_by_test_id("back-to-slides").click()
    answer(page, "leave")
    # in the list, also for who comes back another day
    page.reload()
    card = page.locator(f'[data-testid="slide-card"][data-slide-id="{slide_id}"]')
    expect(card.get_by_test_id("slide-unsaved")).to_contain_text("1 patch")
    expect(page.get_by_test_id("unsaved-item")).to_have_count(1)
    for way in (
        card.get_by_test_id("slide-unsaved"),
        page.get_by_test_id("unsaved-open"),
        page.get_by_test_id("unsaved-button"),
    ):
        way.click()
        expect_patch(page, patch)
        expect(page.get_by_test_id("draft-restored")).to_be_visible()
        assert drawn_px(page) == before
        page.get_by_test_id("back-to-slides").click()
        answer(page, "leave")

    # signing out says that they stay behind; whoever signs in again finds them
    page.get_by_test_id("sign-out").click()
    answer(page, "leave")
    sign_in(page, "admin")
    page.get_by_test_id("unsaved-button").click()
    expect_patch(page, patch)
    page.get_by_test_id("save").click()
    expect_state(page, "saved")
    expect(page.get_by_test_id("unsaved-button")).to_have_count(0)
    page.get_by_test_id("back-to-slides").click()
    expect(page.get_by_test_id("slide-list")).to_be_visible()
    expect(page.get_by_test_id("unsaved-list")).to_have_count(0)


def test_closing_the_tab_asks_only_while_something_is_unsaved(page: Page, patch: str) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    with page.expect_event("dialog"):
        page.close(run_before_unload=True)
    assert asked == ["beforeunload"]
    page.get_by_test_id("save").click()
    expect_state(page, "saved")
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    assert asked == ["beforeunload"]


def test_a_save_that_waits_lets_the_person_go_on_and_is_sent_from_wherever_they_are(
    page: Page, patch: str, slide_id: str, installation: Installation
) -> None:
    page.context.set_offline(True)
    page.get_by_test_id("save").click()
    expect_state(page, "waiting")
    page.get_by_test_id("back-to-slides").click()
    item = page.get_by_test_id("unsaved-item")
    expect(item).to_have_attribute("data-pending", "true")
    page.context.set_offline(False)
    expect(item).to_have_count(0, timeout=PATIENCE)
    assert rows_of(newest(installation, patch)) == {40}


def test_strokes_of_a_slide_that_is_gone_are_said_and_can_be_thrown_away(
    page: Page, patch: str
) -> None:
    page.evaluate(OF_A_DELETED_SLIDE)
    page.get_by_test_id("save").click()
    expect_state(page, "saved")
    page.get_by_test_id("back-to-slides").click()
    page.reload()
    item = page.get_by_test_id("unsaved-item")
    expect(item).to_contain_text("A slide that is not here any more")
    # the service has refused it in words: nothing is sent for ever, nothing goes without a word
    expect(item).to_have_attribute("data-pending", "false", timeout=PATIENCE)
    page.once("dialog", lambda dialog: dialog.accept())
    item.get_by_test_id("draft-discard").click()
    expect(item).to_have_count(0)


def test_who_left_and_goes_on_at_once_is_not_asked_again(
    page: Page, slide_id: str, installation: Installation
) -> None:
    first, second = untouched(installation, slide_id, 2)
    open_patch(page, slide_id, first)
    draw_row(page, 40)
    page.get_by_test_id("close-patch").click()
    expect(page.get_by_test_id("choice-dialog")).to_be_visible()
    # the address changes again before the page has drawn what the answer led to
    page.evaluate(
        """async (hash) => {
          document.querySelector('[data-testid="choice-leave"]').click();
          await new Promise((soon) => {
            addEventListener("hashchange", () => setTimeout(soon), {once: true});
          });
          location.hash = hash;
        }""",
        f"#/slides/{slide_id}/patches/{second}",
    )
    expect_patch(page, second)
    expect(page.get_by_test_id("choice-dialog")).to_have_count(0)


def test_a_browser_that_keeps_nothing_saves_and_says_so(
    page: Page, slide_id: str, installation: Installation
) -> None:
    page.context.add_init_script(NOTHING_KEPT)
    page.reload()
    first, second = untouched(installation, slide_id, 2)
    open_patch(page, slide_id, first)
    draw_row(page, 40)
    expect(page.get_by_test_id("save-state")).to_contain_text("keeps no copy")
    page.get_by_test_id("close-patch").click()
    expect(page.get_by_test_id("choice-dialog")).to_contain_text("lost when this page is closed")
    answer(page, "leave")
    open_patch(page, slide_id, second)
    draw_row(page, 80)
    page.get_by_test_id("save").click()
    expect_state(page, "saved")
    assert rows_of(newest(installation, second)) == {80}
    # what was left behind is still in this page, and still said
    page.get_by_test_id("unsaved-button").click()
    expect_patch(page, first)
    page.get_by_test_id("save").click()
    expect_state(page, "saved")
    assert rows_of(newest(installation, first)) == {40}


def test_the_browser_is_asked_once_to_keep_the_strokes_and_another_day_once_more(
    page: Page, slide_id: str, installation: Installation
) -> None:
    page.context.add_init_script(COUNTED)
    [patch_id] = untouched(installation, slide_id)
    for asked in (1, 2, 2):
        # a tab that is opened another day; what was refused before may be granted now
        tab = page.context.new_page()
        tab.goto(page.url)
        open_patch(tab, slide_id, patch_id)
        for row in (40, 80):
            draw_row(tab, row)
            tab.get_by_test_id("save").click()
            expect_state(tab, "saved")
            tab.reload()
            expect_state(tab, "clean")
        assert tab.evaluate("localStorage.asked") == str(asked)
        if asked == 2:
            tab.evaluate("localStorage.granted = 1")
        tab.close()
