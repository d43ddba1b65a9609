"""Two tabs of one person on one patch: each keeps its strokes, nothing is overwritten unseen."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Error, Page, expect

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
from tests.support.installation import Installation, until

pytestmark = pytest.mark.slow
NO_LOCKS = "Object.defineProperty(Navigator.prototype, 'locks', {get: () => undefined})"


@pytest.fixture(params=["locks", "no locks"])
def tabs(
    request: pytest.FixtureRequest, page: Page, slide_id: str, installation: Installation
) -> Iterator[tuple[Page, Page, str]]:
    """Two tabs of one browser with the same patch open, as over https and as over plain http."""
    if request.param == "no locks":
        page.context.add_init_script(NO_LOCKS)
        page.reload()
    [patch_id] = untouched(installation, slide_id)
    second = page.context.new_page()
    second.goto(page.url)
    for tab in (page, second):
        tab.bring_to_front()
        open_patch(tab, slide_id, patch_id)
    yield page, second, patch_id
    if not page.is_closed():
        page.context.set_offline(False)


def draw(tab: Page, row: int) -> None:
    tab.bring_to_front()
    draw_row(tab, row)


def offline_save(tab: Page, context: BrowserContext) -> None:
    context.set_offline(True)
    tab.get_by_test_id("save").click()
    expect_state(tab, "waiting")


def saved(installation: Installation, patch_id: str, count: int) -> None:
    until(lambda: len(revisions(installation, patch_id)) == count, f"{count} revisions", 60)


def test_a_second_tab_on_an_open_patch_says_so(
    tabs: tuple[Page, Page, str],
) -> None:
    first, second, _ = tabs
    for tab in (first, second):
        expect(tab.get_by_test_id("open-elsewhere")).to_be_visible()
    draw(first, 40)
    expect(second.get_by_test_id("open-elsewhere")).to_have_attribute("data-unsaved", "1")
    first.close()
    expect(second.get_by_test_id("open-elsewhere")).to_have_count(0)
    # what the closed tab had drawn is offered, and comes back with one click
    expect(second.get_by_test_id("draft-left")).to_have_count(1)
    second.get_by_test_id("draft-take-up").click()
    expect(second.get_by_test_id("draft-restored")).to_be_visible()
    expect(second.get_by_test_id("draft-left")).to_have_count(0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first saves", "second saves"])
def test_both_draw_one_saves_offline_then_the_other_is_asked(
    tabs: tuple[Page, Page, str], order: tuple[int, int], installation: Installation
) -> None:
    *pages, patch_id = tabs
    faster, slower = (pages[place] for place in order)
    draw(faster, 40)
    draw(slower, 80)
    mine = drawn_px(slower)
    offline_save(faster, faster.context)
    faster.context.set_offline(False)
    expect_state(faster, "saved")
    assert rows_of(newest(installation, patch_id)) == {40}

    # told at once, with both to choose from; its own pixels stay on the screen
    expect(slower.get_by_test_id("conflict")).to_contain_text("You, elsewhere, saved revision 1")
    assert drawn_px(slower) == mine
    slower.bring_to_front()
    said = slower.get_by_test_id("notices")
    expect(said).to_contain_text("You, elsewhere, saved revision 1")
    slower.get_by_test_id("conflict-mine").click()
    expect_state(slower, "saved")
    expect(said).not_to_contain_text("You, elsewhere")  # it is decided
    assert rows_of(newest(installation, patch_id)) == {80}
    assert [each["base_revision"] for each in revisions(installation, patch_id)] == [0, 1]
    # the first tab has nothing unsaved: it shows the newest revision, and says that it does
    expect(faster.get_by_test_id("editor")).to_have_attribute("data-revision", "2")
    expect(faster.get_by_test_id("notices")).to_contain_text("it is shown")


def gone(tab: Page) -> None:
    tab.close()


def reloaded_when_back(tab: Page) -> None:
    tab.context.set_offline(False)
    tab.reload()


def crashed(tab: Page) -> None:
    """Kill the tab's process as a crash does: it says goodbye to nobody."""
    with tab.expect_event("crash"), contextlib.suppress(Error):
        tab.goto("chrome://crash")
    tab.close()  # what is left of it is an empty frame


ENDS = [gone, reloaded_when_back, crashed]


@pytest.mark.parametrize("end", ENDS, ids=["closed", "reloaded", "crashed"])
def test_a_save_that_waits_outlives_its_tab(
    tabs: tuple[Page, Page, str], end: Callable[[Page], None], installation: Installation
) -> None:
    first, second, patch_id = tabs
    draw(first, 40)
    draw(second, 80)
    offline_save(first, first.context)
    end(first)
    second.context.set_offline(False)
    saved(installation, patch_id, 1)
    assert rows_of(newest(installation, patch_id)) == {40}
    expect(second.get_by_test_id("conflict")).to_be_visible(timeout=PATIENCE)
    second.bring_to_front()
    second.get_by_test_id("conflict-theirs").click()
    expect_state(second, "clean")
    second.get_by_test_id("undo").click()  # its own strokes are still there
    expect_state(second, "unsaved")
    second.get_by_test_id("save").click()
    saved(installation, patch_id, 2)
    assert rows_of(newest(installation, patch_id)) == {80}
