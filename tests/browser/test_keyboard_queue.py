"""Patch after patch by keyboard alone: what the strip shows as the next is what comes."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.drawing import PATIENCE, expect_state, revisions
from tests.support.installation import Installation, until

pytestmark = pytest.mark.slow
PATCHES = 4


def open_slide(page: Page, slide_id: str) -> None:
    page.evaluate("hash => { location.hash = hash }", f"#/slides/{slide_id}")
    expect(page.get_by_test_id("viewer")).to_have_attribute("data-ready", "true", timeout=PATIENCE)


def open_patch_id(page: Page) -> str:
    return str(page.get_by_test_id("editor").get_attribute("data-patch-id"))


def first_shown(page: Page) -> str:
    """Return the patch that the strip shows first, once it is no longer the open one."""
    shown = page.get_by_test_id("coming-patch").first
    expect(shown).not_to_have_attribute("data-patch-id", open_patch_id(page), timeout=PATIENCE)
    return str(shown.get_attribute("data-patch-id"))


def test_patches_are_completed_one_after_the_other_by_enter(
    page: Page, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    strip = page.get_by_test_id("film-strip")
    expect(strip.locator("img").first).to_be_visible(timeout=PATIENCE)
    expect(strip.get_by_text("The model is in doubt").first).to_be_visible()
    wanted = first_shown(page)
    page.keyboard.press("n")
    editor = page.get_by_test_id("editor")
    expect(editor).to_have_attribute("data-patch-id", wanted, timeout=PATIENCE)
    expect_state(page, "clean")

    page.wait_for_function(
        "id => document.querySelector('[data-testid=coming-patch]')?.dataset.patchId !== id",
        arg=wanted,
    )
    later = open_patch_id(page)
    wanted = first_shown(page)
    page.keyboard.press("k")
    expect(editor).to_have_attribute("data-patch-id", wanted, timeout=PATIENCE)
    expect_state(page, "clean")
    assert revisions(installation, later) == []

    done = []
    for _ in range(PATCHES):
        patch_id, wanted = open_patch_id(page), first_shown(page)
        page.keyboard.press("Enter")
        expect(editor).to_have_attribute("data-patch-id", wanted, timeout=PATIENCE)
        expect_state(page, "clean")
        until(lambda: revisions(installation, patch_id), "the mask to be saved")  # noqa: B023 - called here
        done.append(patch_id)
    assert len(set(done)) == PATCHES
    assert later not in done
    assert revisions(installation, open_patch_id(page)) == []
    with installation.client() as client:
        for patch_id in done:
            shown = client.get(f"/patches/{patch_id}").json()
            assert (shown["state"], shown["unseen_px"]) == ("annotated", 0)


def test_enter_on_a_button_presses_the_button_alone(
    page: Page, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    page.keyboard.press("n")
    expect_state(page, "clean")
    patch_id = open_patch_id(page)
    button = page.get_by_test_id("tool-eraser")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert open_patch_id(page) == patch_id
    assert revisions(installation, patch_id) == []
