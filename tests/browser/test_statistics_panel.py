"""The work in figures, on the slides' page: fetched when it is opened, as the service counts."""

import csv
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.installation import Installation
from tests.support.ready import png, some_mask

pytestmark = pytest.mark.slow


def test_the_work_is_shown_in_figures(
    page: Page, slide_id: str, installation: Installation
) -> None:
    with installation.client() as client:
        [patch] = client.get(f"/slides/{slide_id}/patches?limit=1").json()["items"]
        client.put(
            f"/patches/{patch['id']}/annotation",
            params={"seconds_spent": 2},
            content=png(some_mask(7)),
            headers={"If-Match": f'"r{patch["revision"]}"', "Content-Type": "image/png"},
        ).raise_for_status()
        figures = client.get("/statistics/annotation").raise_for_status().json()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    panel = page.get_by_test_id("statistics")
    expect(panel).to_be_visible()
    assert not [url for url in asked if "statistics" in url], "nobody has asked for it yet"
    panel.locator("summary").click()
    row = page.get_by_test_id("statistics-table").locator("tbody tr").nth(1)
    minutes = figures["overall"]["minutes_per_patch"]
    shown = [str(figures["overall"]["patches"]), f"{minutes:.1f}"]
    expect(row.locator("td").nth(0)).to_have_text(shown[0])
    expect(row.locator("td").nth(1)).to_have_text(shown[1])
    for group in ("by_reader", "by_round", "by_slide"):
        name = figures[group][0]["name"]
        expect(panel.get_by_role("rowheader", name=name, exact=True).first).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_test_id("statistics-csv").click()
    rows = list(csv.DictReader(Path(waiting.value.path()).read_text().splitlines()))
    assert rows[0]["patches"] == shown[0]
