"""From regions to a signed report, in a real browser against the real service and its workers."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD
from tests.browser.test_annotator import PATIENCE, open_slide
from tests.support.installation import Installation, until
from tests.support.pathologist import idle
from tests.support.places import on_slide

pytestmark = pytest.mark.slow


@pytest.fixture
def untouched_id(installation: Installation, slide_file: Path, tmp_path: Path) -> str:
    """A slide that nobody has looked at: what other tests accept on theirs counts as seen."""
    path = tmp_path / "untouched.tif"
    path.write_bytes(slide_file.read_bytes() + b"\0")
    with installation.client() as client, path.open("rb") as file:
        answer = client.post("/slides", files={"file": ("phantom.tif", file)})
        idle(client)
        return str(answer.raise_for_status().json()["id"])


CORNERS = [(200, 200), (1800, 240), (1760, 1800), (220, 1760)]


def click_slide(page: Page, x: float, y: float) -> None:
    """Click a place given in level-0 px of the slide."""
    page.mouse.click(*on_slide(page, x, y))


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


def tumour_everywhere(installation: Installation, slide_id: str, side: int = 2048) -> None:
    """Make the whole slide, a square of so many px, the one tumour region."""
    ring = [[0, 0], [side, 0], [side, side], [0, side], [0, 0]]
    whole = {
        "type": "Feature",
        "properties": {"kind": "tumour"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    with installation.client() as client:
        etag = client.get(f"/slides/{slide_id}/regions").raise_for_status().headers["ETag"]
        replaced = client.put(
            f"/slides/{slide_id}/regions",
            json={"type": "FeatureCollection", "features": [whole]},
            headers={"If-Match": etag},
        )
        replaced.raise_for_status()


def test_a_report_is_asked_for_read_signed_and_amended(
    page: Page, untouched_id: str, installation: Installation
) -> None:
    tumour_everywhere(installation, untouched_id)
    open_slide(page, untouched_id)
    page.get_by_test_id("tab-report").click()
    page.get_by_test_id("report-ask").click()
    report = page.get_by_test_id("report")
    expect(report).to_have_attribute("data-state", "draft", timeout=PATIENCE)
    report_id = str(report.get_attribute("data-report-id"))
    with installation.client() as client:
        computed = client.get(f"/reports/{report_id}").raise_for_status().json()
    category = page.get_by_test_id("category")
    expect(category).to_have_attribute("data-score", computed["score"])
    expect(page.get_by_test_id("category-reason")).to_contain_text(
        computed["document"]["reason_text"]
    )
    expect(page.get_by_test_id("report-research-use")).to_contain_text("Research Use Only")
    counted = computed["document"]["percent"]["WP"]["value"]
    row = page.locator('[data-testid="percentages"] tr[data-label="WP"]')
    shown = str(row.locator(".number").text_content()).removesuffix(" %")
    assert float(shown) == pytest.approx(counted, abs=0.51)

    for ending, start in (("pdf", b"%PDF"), ("fhir.json", b"{"), ("geojson", b"{")):
        with page.expect_download() as download:
            page.get_by_test_id(f"download-{ending}").click()
        name = download.value.suggested_filename
        assert name.endswith(f"_HER2-v1-draft.{ending}")
        assert report_id not in name
        assert download.value.path().read_bytes().startswith(start)

    own = "3+" if computed["score"] != "3+" else "2+"
    page.get_by_test_id(f"sign-score-{own}").click()
    page.get_by_test_id("sign-reason").fill("Judged at 40×.")
    page.get_by_test_id("sign-comment").fill("Lateral staining.")
    page.get_by_test_id("sign-password").fill("not my password")
    # what is missing is asked for in place: nothing is signed before it is said
    page.get_by_test_id("sign-case-id").fill("24-H-1187")
    page.get_by_test_id("sign-block").fill("A3")
    page.get_by_test_id("sign-full-name").fill("Dr. Ana Osei")
    page.get_by_test_id("sign-submit").click()
    expect(page.get_by_test_id("sign-without-review")).not_to_be_checked()
    expect(report).to_have_attribute("data-state", "draft")
    page.get_by_test_id("sign-without-review").check()
    page.get_by_test_id("sign-submit").click()
    expect(page.get_by_test_id("sign-error")).to_contain_text("password")
    expect(page.get_by_test_id("sign-password")).to_have_value("")
    page.get_by_test_id("sign-password").fill(PASSWORD)
    page.get_by_test_id("sign-submit").click()
    expect(report).to_have_attribute("data-state", "signed", timeout=PATIENCE)
    expect(page.get_by_test_id("signature")).to_have_attribute("data-score", own)
    expect(page.get_by_test_id("sign-form")).to_have_count(0)
    expect(page.get_by_test_id("signature")).to_contain_text("Dr. Ana Osei, administrator")
    expect(page.get_by_test_id("signed-without-review")).to_be_visible()
    expect(page.get_by_test_id("report-slide")).to_contain_text("case 24-H-1187 · block A3")

    page.get_by_test_id("amend").locator("summary").click()
    page.get_by_test_id("amend-reason").fill("The region held DCIS.")
    page.get_by_test_id("amend-submit").click()
    expect(report).to_have_attribute("data-version", "2", timeout=PATIENCE)
    expect(report).to_have_attribute("data-state", "draft", timeout=PATIENCE)
    page.get_by_test_id("report-back").click()
    states = page.get_by_test_id("report-item")
    expect(states).to_have_count(2)
    expect(states.nth(0)).to_have_attribute("data-state", "draft")
    expect(states.nth(1)).to_have_attribute("data-state", "signed")


def score_of(installation: Installation, slide_id: str) -> dict[str, Any]:
    with installation.client() as client:
        return dict(client.get(f"/slides/{slide_id}/score").raise_for_status().json())


def settled(page: Page, installation: Installation, slide_id: str) -> dict[str, Any]:
    """Wait until page and service agree that the score has followed; return the document."""
    panel = page.get_by_test_id("score")

    def followed() -> dict[str, Any] | None:
        now = score_of(installation, slide_id)
        return now if now["state"] == "current" else None

    live = until(followed, "the live score", 60)
    expect(panel).to_have_attribute("data-revision", str(live["revision"]), timeout=PATIENCE)
    expect(panel).to_have_attribute("data-state", "current", timeout=PATIENCE)
    # the header counts the places down that the rule to stop waits for
    count = page.get_by_test_id("stop-count")
    left = str(len(live["stop"]["places_left"]))
    expect(count).to_have_attribute("data-left", left, timeout=PATIENCE)
    expect(count).to_have_attribute("data-state", "met" if live["stop"]["met"] else "open")
    return dict(live["document"])


def test_the_score_follows_cells_thresholds_and_regions(
    page: Page, slide_id: str, installation: Installation
) -> None:
    tumour_everywhere(installation, slide_id)
    open_slide(page, slide_id)
    page.get_by_test_id("strategy-clinical").click()
    page.get_by_test_id("next-patch").click()
    expect(page.get_by_test_id("queue-empty")).to_contain_text("score", timeout=PATIENCE)

    page.get_by_test_id("tab-score").click()
    page.get_by_test_id("score-begin").click()
    before = settled(page, installation, slide_id)
    expect(page.get_by_test_id("category")).to_have_attribute("data-score", before["score"])

    # a cell is left out for a reason, and taken back
    page.get_by_test_id("zoom-in").click()
    seen = page.get_by_test_id("cells-seen")
    expect(seen).to_have_attribute("data-shown", re.compile("[1-9]"), timeout=PATIENCE)
    page.keyboard.press(".")
    card = page.get_by_test_id("cell-card")
    expect(card).to_have_attribute("data-included", "true")
    measured = str(card.get_attribute("data-label"))
    page.get_by_test_id("cell-exclude").click()
    expect(card).to_contain_text("Say why")
    page.get_by_test_id("cell-reason").fill("Not a tumour cell")
    page.get_by_test_id("cell-exclude").click()
    expect(card).to_have_attribute("data-included", "false", timeout=PATIENCE)
    assert settled(page, installation, slide_id)["cells"] == before["cells"] - 1
    page.get_by_test_id("cell-include").click()
    expect(card).to_have_attribute("data-included", "true", timeout=PATIENCE)
    other = "IC" if measured != "IC" else "N"
    page.get_by_test_id("cell-class").select_option(other)
    expect(card).to_have_attribute("data-label", other, timeout=PATIENCE)
    counts = settled(page, installation, slide_id)["counts"]
    assert counts[other] == before["counts"][other] + 1
    page.get_by_test_id("cell-include").click()
    expect(card).to_have_attribute("data-label", measured, timeout=PATIENCE)
    assert settled(page, installation, slide_id)["counts"] == before["counts"]

    # another line between weak and moderate is a what-if, and says so
    what_if = page.locator('[data-testid="flags"] [data-code="thresholds_changed"]')
    page.get_by_test_id("thresholds-fold").locator("summary").click()
    page.get_by_test_id("threshold-t_moderate").fill("0.21")
    expect(what_if).to_be_visible(timeout=PATIENCE)
    assert settled(page, installation, slide_id)["counts"]["MC"] > before["counts"]["MC"]
    page.get_by_test_id("thresholds-reset").click()
    expect(what_if).to_have_count(0, timeout=PATIENCE)
    assert settled(page, installation, slide_id)["counts"] == before["counts"]

    # somebody takes the tumour region away: this page follows without being touched
    with installation.client() as client:
        url = f"/slides/{slide_id}/regions"
        etag = client.get(url).headers["ETag"]
        nothing = {"type": "FeatureCollection", "features": []}
        client.put(url, json=nothing, headers={"If-Match": etag}).raise_for_status()
    category = page.get_by_test_id("category")
    expect(category).to_have_attribute("data-score", "not assessable", timeout=PATIENCE)
    expect(page.get_by_test_id("category-before")).to_contain_text(before["printed_score"])
