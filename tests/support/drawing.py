"""An open patch on the page: opened by its address, drawn on, saved, and what then lies where."""

from typing import Any

import numpy as np
from playwright.sync_api import Page, expect

from tests.support.installation import Installation
from tests.support.pathologist import Mask, pixels
from tests.support.places import on_patch

PATIENCE = 60_000


def untouched(installation: Installation, slide_id: str, count: int = 1) -> list[str]:
    """Return ids of patches that nobody has saved, the least uncertain first."""
    with installation.client() as client:
        query = {"state": "proposed", "order": "uncertainty", "limit": 500}
        answer = client.get(f"/slides/{slide_id}/patches", params=query).raise_for_status()
    free = [each["id"] for each in answer.json()["items"] if each["revision"] == 0]
    return free[::-1][:count]


def open_patch(page: Page, slide_id: str, patch_id: str) -> None:
    """Go to a patch by its address and wait until it is in the panel."""
    page.evaluate("hash => { location.hash = hash }", f"#/slides/{slide_id}/patches/{patch_id}")
    viewer = page.get_by_test_id("viewer")
    expect(viewer).to_have_attribute("data-ready", "true", timeout=PATIENCE)
    editor = page.get_by_test_id("editor")
    expect(editor).to_have_attribute("data-patch-id", patch_id, timeout=PATIENCE)


def drawn_px(page: Page) -> int:
    """Return how many membrane pixels the panel says are drawn."""
    drawn = page.get_by_test_id("drawn").text_content() or ""
    return int(drawn.partition(" px membrane")[0].replace(",", ""))


def stroke(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Draw a straight stroke between two pixels of the open patch."""
    page.mouse.move(*on_patch(page, *start))
    page.mouse.down()
    page.mouse.move(*on_patch(page, *end), steps=12)
    page.mouse.up()


def draw_row(page: Page, row: int) -> None:
    """Empty the patch and draw a row across it, so that it is known by its pixels."""
    page.get_by_test_id("clear-mask").click()
    page.get_by_test_id("tool-brush").click()
    stroke(page, (40, row), (200, row))
    expect_state(page, "unsaved")
    expect_written(page)


def expect_written(page: Page) -> None:
    """Wait until the browser has what was drawn: only then a tab may be killed and lose nothing."""
    written = page.get_by_test_id("save-state")
    expect(written).to_have_attribute("data-written", "true", timeout=PATIENCE)


def expect_state(page: Page, state: str) -> None:
    expect(page.get_by_test_id("editor")).to_have_attribute("data-state", state, timeout=PATIENCE)


def revisions(installation: Installation, patch_id: str) -> list[dict[str, Any]]:
    """Return what was saved of a patch, oldest first."""
    with installation.client() as client:
        answer = client.get(f"/patches/{patch_id}/annotations").raise_for_status()
    return list(reversed(answer.json()["items"]))


def newest(installation: Installation, patch_id: str) -> Mask:
    with installation.client() as client:
        return pixels(client.get(f"/patches/{patch_id}/annotation.png").raise_for_status().content)


def rows_of(mask: Mask) -> set[int]:
    """Return which of the rows that tests draw (multiples of 20) a mask holds."""
    return {row for row in range(20, 240, 20) if np.all(mask[row, 60:180] == 255)}
