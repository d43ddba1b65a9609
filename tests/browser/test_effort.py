"""The time that a patch took: from shown to saved, in a real browser."""

import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_annotator import open_next, open_slide
from tests.support.drawing import PATIENCE, expect_written, stroke
from tests.support.installation import Installation

pytestmark = pytest.mark.slow
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {get: () => hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""What a page hears when its tab goes behind another: Chromium without a screen hides none."""


def seconds(installation: Installation, patch_id: str) -> list[float]:
    """Of each revision, oldest first."""
    with installation.client() as client:
        answer = client.get(f"/patches/{patch_id}/annotations").raise_for_status()
    return [each["seconds_spent"] for each in reversed(answer.json()["items"])]


@pytest.mark.parametrize("way", ["button", "key"])
def test_an_accepted_patch_has_the_seconds_that_it_was_looked_at(
    page: Page, slide_id: str, installation: Installation, way: str
) -> None:
    open_slide(page, slide_id)
    began = time.monotonic()
    patch_id = open_next(page)
    page.wait_for_timeout(1500)  # a person looks at it, and moves nothing
    if way == "button":
        page.get_by_test_id("accept").click()
    else:
        page.keyboard.press("a")
    expect(page.get_by_test_id("editor")).to_have_attribute("data-revision", "1", timeout=PATIENCE)
    [spent] = seconds(installation, patch_id)
    assert 1.5 <= spent <= time.monotonic() - began


def test_a_draft_goes_on_counting_and_a_second_save_begins_anew(
    page: Page, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    began = time.monotonic()
    patch_id = open_next(page)
    page.wait_for_timeout(1200)
    page.get_by_test_id("tool-brush").click()
    stroke(page, (40, 90), (200, 90))
    expect_written(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    editor = page.get_by_test_id("editor")
    expect(editor).to_have_attribute("data-state", "unsaved", timeout=PATIENCE)
    before_first = time.monotonic()
    page.get_by_test_id("save").click()
    expect(editor).to_have_attribute("data-revision", "1", timeout=PATIENCE)
    page.get_by_test_id("clear-mask").click()
    page.get_by_test_id("save").click()
    expect(editor).to_have_attribute("data-revision", "2", timeout=PATIENCE)
    first, second = seconds(installation, patch_id)
    assert 1.2 <= first <= time.monotonic() - began
    assert 0 < second <= time.monotonic() - before_first


def test_a_hidden_page_and_another_panel_do_not_count(
    page: Page, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    began = time.monotonic()
    patch_id = open_next(page)
    page.keyboard.press("3")
    page.wait_for_timeout(1500)
    page.keyboard.press("1")
    page.evaluate(HIDE, arg=True)
    page.wait_for_timeout(1500)
    page.evaluate(HIDE, arg=False)
    page.keyboard.press("a")
    expect(page.get_by_test_id("editor")).to_have_attribute("data-revision", "1", timeout=PATIENCE)
    [spent] = seconds(installation, patch_id)
    assert 0 < spent <= time.monotonic() - began - 3
