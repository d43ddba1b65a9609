"""What only a person knows of the staining, entered in a real browser and followed by the score."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from models.phantom import PhantomSpec, write
from tests.browser.conftest import PASSWORD
from tests.browser.test_annotator import PATIENCE, open_slide
from tests.browser.test_score import score_of, settled, tumour_everywhere
from tests.support.installation import Installation
from tests.support.pathologist import idle, upload

pytestmark = pytest.mark.slow
SIDE = 1024
ALL_BUT_NONE = {"t_weak": 3.7, "t_moderate": 3.8, "t_intense": 3.9}


@pytest.fixture
def slide_id(installation: Installation, tmp_path: Path) -> str:
    """A slide of this file's own, uploaded once and predicted: others count their reports."""
    path = tmp_path / "stained.tif"
    write(PhantomSpec(width=SIDE, height=SIDE, seed=3), path)
    with installation.client() as client:
        # another test may have left a network of a few steps in charge
        versions = client.get("/model-versions").raise_for_status().json()["items"]
        [rule] = [each for each in versions if each["kind"] == "cold-start"]
        if rule["state"] != "active":
            client.post(f"/model-versions/{rule['id']}/activate").raise_for_status()
        slide = upload(client, path)
        idle(client)
        return str(slide["id"])


@pytest.fixture
def panel(page: Page, slide_id: str, installation: Installation) -> Locator:
    """The panel of a live score that has been begun."""
    tumour_everywhere(installation, slide_id, SIDE)
    with installation.client() as client:
        own = {"protocol": "asco_cap_2023_breast", "thresholds": None, "ish": None}
        own |= {"cytoplasm_obscures": False, "merge_zero_plus": False}
        client.put(f"/slides/{slide_id}/score", json=own).raise_for_status()
    open_slide(page, slide_id)
    page.get_by_test_id("tab-score").click()
    settled(page, installation, slide_id)
    return page.get_by_test_id("score")


def what_if(installation: Installation, slide_id: str, **cuts: float) -> None:
    """Move thresholds, so that the phantom is of another category."""
    said = score_of(installation, slide_id)["document"]["protocol"]["thresholds"]
    names = ("t_faint", "t_weak", "t_moderate", "t_intense", "c_any", "c_full")
    thresholds = {name: said[name] for name in names} | cuts
    with installation.client() as client:
        answer = client.put(f"/slides/{slide_id}/score", json={"thresholds": thresholds})
        answer.raise_for_status()


def again(page: Page) -> None:
    """Load the page anew, as after a night."""
    page.reload()
    page.get_by_test_id("tab-score").click()


def report_of(page: Page, installation: Installation) -> dict[str, Any]:
    report_id = page.get_by_test_id("report").get_attribute("data-report-id")
    with installation.client() as client:
        return dict(client.get(f"/reports/{report_id}").raise_for_status().json())


def test_a_hybridisation_is_entered_where_the_category_asks_for_it(
    page: Page, panel: Locator, slide_id: str, installation: Installation
) -> None:
    what_if(installation, slide_id, t_intense=3.9)
    assert settled(page, installation, slide_id)["score"] == "2+"
    fold = panel.get_by_test_id("ish")
    expect(fold).to_have_attribute("open", "")
    expect(fold.locator("summary")).to_contain_text("asked for")
    reason = panel.get_by_test_id("category-reason")
    expect(reason).to_contain_text("In situ hybridisation is asked for")

    # found by their names, filled in and sent from the keyboard; each word stands at its field
    fold.get_by_label("Read by").fill("M. Ito")
    ratio = fold.get_by_label("Ratio HER2/CEP17")
    ratio.fill("about 2")
    ratio.press("Enter")
    wrong = fold.get_by_test_id("ish-ratio-wrong")
    expect(wrong).to_have_text("A ratio is a number above 0 and at most 1000, such as 2.15.")
    expect(wrong).to_have_role("alert")
    expect(ratio).to_have_attribute("aria-invalid", "true")
    expect(ratio).to_have_attribute("aria-describedby", str(wrong.get_attribute("id")))
    expect(ratio).to_have_value("about 2")
    expect(fold.get_by_test_id("ish-result-wrong")).to_contain_text("Say the result")
    assert score_of(installation, slide_id)["ish"] is None

    fold.get_by_label("Result").select_option("positive")
    ratio.fill("1,5")
    fold.get_by_label("Copies a nucleus").fill("8.2")
    fold.get_by_label("Group").select_option("1")
    # a look at the regions loses nothing of what is half typed
    page.get_by_test_id("tab-regions").click()
    page.get_by_test_id("tab-score").click()
    expect(ratio).to_have_value("1,5")
    expect(fold.get_by_label("Read by")).to_have_value("M. Ito")
    ratio.press("Enter")
    expect(fold.get_by_test_id("ish-error")).to_contain_text("group 3, not 1")
    expect(wrong).to_have_count(0)
    fold.get_by_label("Group").select_option("3")
    fold.get_by_test_id("ish-keep").press("Enter")
    entered = panel.get_by_test_id("category-ish")
    expect(entered).to_contain_text("positive, group 3, ratio 1.5", timeout=PATIENCE)
    expect(entered).to_contain_text("entered by admin")
    expect(reason).not_to_contain_text("asked for")
    expect(fold.locator("summary")).to_contain_text("positive")
    assert settled(page, installation, slide_id)["score"] == "2+", "nothing is concluded from it"

    again(page)
    expect(ratio).to_have_value("1.5", timeout=PATIENCE)
    expect(fold.get_by_label("Group")).to_have_value("3")
    expect(entered).to_contain_text("read by M. Ito")

    # the report has it, and the one who signs may enter another
    page.get_by_test_id("tab-report").click()
    page.get_by_test_id("report-ask").click()
    report = page.get_by_test_id("report")
    expect(report).to_have_attribute("data-state", "draft", timeout=PATIENCE)
    expect(report.get_by_test_id("category-ish")).to_contain_text("ratio 1.5")
    assert report_of(page, installation)["ish"] == score_of(installation, slide_id)["ish"]
    form = report.get_by_test_id("sign-form")
    expect(form.get_by_label("Ratio HER2/CEP17")).to_have_value("1.5")
    form.get_by_test_id("sign-score-2+").click()
    form.get_by_test_id("sign-comment").fill("With the hybridisation.")
    if form.get_by_test_id("sign-reason").count():
        form.get_by_test_id("sign-reason").fill("Judged at 40×.")
    for name, said in (("case-id", "24-H-1187"), ("block", "A3"), ("full-name", "Dr. Ana Osei")):
        field = form.get_by_test_id(f"sign-{name}")
        if field.count():
            field.fill(said)
    if form.get_by_test_id("sign-without-review").count():
        form.get_by_test_id("sign-without-review").check()
    form.get_by_label("Nuclei counted").fill("20.5")
    form.get_by_test_id("sign-password").fill(PASSWORD)
    form.get_by_test_id("sign-submit").click()
    expect(form.get_by_test_id("ish-cells-wrong")).to_contain_text("whole numbers")
    expect(form.get_by_test_id("sign-error")).to_contain_text("another look")
    form.get_by_label("Nuclei counted").fill("20")
    form.get_by_test_id("sign-password").fill(PASSWORD)
    form.get_by_test_id("sign-submit").click()
    expect(report).to_have_attribute("data-state", "signed", timeout=PATIENCE)
    expect(report.get_by_test_id("category-ish")).to_contain_text("nuclei counted 20")

    page.get_by_test_id("tab-score").click()
    panel.get_by_test_id("ish-remove").click()
    expect(entered).to_have_count(0)
    expect(reason).to_contain_text("asked for")
    assert report_of(page, installation)["ish"]["cells"] == 20, "a signed report never changes"


def test_hidden_membranes_and_0_plus_printed_as_0_are_followed_and_kept(
    page: Page, panel: Locator, slide_id: str, installation: Installation
) -> None:
    remark = panel.locator('[data-testid="flags"] [data-code="cytoplasm_obscures"]')
    box = {"x": 0, "y": 0, "width": SIDE, "height": SIDE, "limit": 10_000}
    with installation.client() as client:
        cells = client.get(f"/slides/{slide_id}/cells", params=box).raise_for_status().json()
    intensities = sorted(each["intensity"] for each in cells["items"])
    # as many cells count as stained as make a 0+
    what_if(installation, slide_id, t_faint=intensities[-len(intensities) // 20], **ALL_BUT_NONE)
    found = settled(page, installation, slide_id)
    assert found["score"] == "0+"
    said_by_pixels = any(each["code"] == "cytoplasm_obscures" for each in found["flags"])
    assert not said_by_pixels

    obscures = panel.get_by_label("Cytoplasm hides membranes")
    obscures.focus()
    page.keyboard.press("Space")
    expect(obscures).to_be_checked()
    expect(obscures).to_be_focused()
    expect(remark).to_be_visible(timeout=PATIENCE)
    expect(remark).to_contain_text("Cytoplasm hides membranes")

    protocol = panel.locator("details", has_text="Protocol").last
    protocol.locator("summary").click()
    merge = panel.get_by_label("Print 0+ as 0")
    expect(panel.get_by_test_id("score-begin")).to_be_disabled()
    merge.check()
    panel.get_by_test_id("score-begin").click()
    category = panel.get_by_test_id("category")
    expect(category.locator("strong")).to_have_text("0", timeout=PATIENCE)
    expect(category).to_have_attribute("data-score", "0+")
    expect(panel.get_by_test_id("category-before")).to_contain_text("0+")
    expect(panel.get_by_test_id("category-reason")).to_contain_text(
        re.compile(r"Stained: [\d.]+ %; category 0\+, printed as 0\.")
    )

    again(page)
    expect(obscures).to_be_checked(timeout=PATIENCE)
    expect(remark).to_be_visible()
    expect(category.locator("strong")).to_have_text("0")
    protocol.locator("summary").click()
    expect(merge).to_be_checked()
    panel.get_by_test_id("protocol").select_option("hercep_gastric_resection")
    expect(merge).to_have_count(0)

    # the report is asked for as the live score is, unless somebody chooses otherwise
    page.get_by_test_id("tab-report").click()
    asked = page.get_by_role("region", name="Ask for a report")
    expect(asked.get_by_label("Print 0+ as 0")).to_be_checked()
    asked.get_by_label("Cytoplasm hides membranes").uncheck()
    page.get_by_test_id("report-ask").click()
    report = page.get_by_test_id("report")
    expect(report).to_have_attribute("data-state", "draft", timeout=PATIENCE)
    computed = report_of(page, installation)
    assert computed["inputs"]["merge_zero_plus"] is True
    assert computed["assay"] == {"cytoplasm_obscures": False}
    expect(report.locator('[data-code="cytoplasm_obscures"]')).to_have_count(0)
