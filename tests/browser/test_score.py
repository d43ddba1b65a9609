"""From regions to a signed report, in a real browser against the real service and its workers."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_annotator import PATIENCE, open_slide
from tests.e2e.installation import Installation

pytestmark = pytest.mark.slow
CORNERS = [(200, 200), (1800, 240), (1760, 1800), (220, 1760)]


def click_slide(page: Page, x: float, y: float) -> None:
    """Click a place given in level-0 px of the slide."""
    at = page.evaluate("([x, y]) => window.membrana.slideToScreen(x, y)", [x, y])
    page.mouse.click(at["x"], at["y"])


def regions_of(installation: Installation, slide_id: str) -> list[dict[str, Any]]:
    with installation.client() as client:
        answer = client.get(f"/slides/{slide_id}/regions").raise_for_status().json()
    return list(answer["features"])


def test_a_region_is_drawn_labelled_and_taken_away(
    page: Page, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    page.get_by_test_id("tab-regions").click()
    expect(page.get_by_test_id("regions-none")).to_be_visible()
    page.keyboard.press("t")
    drawing = page.get_by_test_id("drawing")
    for number, corner in enumerate(CORNERS, 1):
        click_slide(page, *corner)
        expect(drawing).to_have_attribute("data-corners", str(number))
    page.keyboard.press("Backspace")
    expect(drawing).to_have_attribute("data-corners", "3")
    click_slide(page, *CORNERS[3])
    expect(drawing).to_have_attribute("data-corners", "4")
    click_slide(page, *CORNERS[0])

    item = page.get_by_test_id("region-item")
    expect(item).to_have_attribute("data-kind", "tumour")
    drawn = regions_of(installation, slide_id)[0]["geometry"]["coordinates"][0]
    assert len(drawn) == 5
    for given, kept in zip(CORNERS, drawn, strict=False):
        assert kept == pytest.approx(given, abs=4)

    page.get_by_test_id("region-kind").select_option("exclude")
    expect(item).to_have_attribute("data-kind", "exclude")
    expect(page.get_by_test_id("region-kind")).to_be_enabled()
    # somebody else adds a region: it comes by itself, and the page's next change is not stale
    with installation.client() as client:
        other = {
            "type": "Feature",
            "properties": {"kind": "tumour"},
            "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [90, 0], [0, 90], [0, 0]]]},
        }
        client.post(f"/slides/{slide_id}/regions", json=other).raise_for_status()
    expect(item).to_have_count(2)
    page.get_by_test_id("region-delete").click()
    expect(item).to_have_count(1)
    assert [each["properties"]["kind"] for each in regions_of(installation, slide_id)] == ["tumour"]
    page.get_by_test_id("region-put-back").click()
    expect(item).to_have_count(2)


def test_a_region_that_crosses_itself_is_refused_in_words_and_kept_to_mend(
    page: Page, slide_id: str
) -> None:
    open_slide(page, slide_id)
    page.get_by_test_id("tab-regions").click()
    page.get_by_test_id("draw-artefact").click()
    for corner in [(300, 300), (900, 900), (900, 300), (300, 900)]:
        click_slide(page, *corner)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("notices")).to_contain_text("crosses", timeout=PATIENCE)
    expect(page.get_by_test_id("drawing")).to_have_attribute("data-corners", "4")
