"""What a pathologist does on the page, in a real browser against the real service."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.support.drawing import PATIENCE, drawn_px, stroke
from tests.support.installation import Installation, finished, until
from tests.support.pathologist import pixels

pytestmark = pytest.mark.slow


def open_slide(page: Page, slide_id: str) -> None:
    card = page.locator(f'[data-testid="slide-card"][data-slide-id="{slide_id}"]')
    expect(card).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    card.get_by_test_id("slide-open").click()
    expect(page.get_by_test_id("viewer")).to_have_attribute("data-ready", "true", timeout=PATIENCE)


def open_next(page: Page) -> str:
    """Ask for the most uncertain patch; return its id once its mask is on the screen."""
    page.get_by_test_id("next-patch").click()
    editor = page.get_by_test_id("editor")
    expect(editor).to_have_attribute("data-state", "clean", timeout=PATIENCE)
    return str(editor.get_attribute("data-patch-id"))


def annotation(installation: Installation, patch_id: str) -> httpx.Response:
    with installation.client() as client:
        return client.get(f"/patches/{patch_id}/annotation.png")


def test_the_page_as_shipped_adds_nothing_to_the_window(page: Page, slide_id: str) -> None:
    open_slide(page, slide_id)
    open_next(page)
    added = """() => {
      const frame = document.body.appendChild(document.createElement("iframe"));
      const blank = new Set(Object.getOwnPropertyNames(frame.contentWindow));
      frame.remove();
      return Object.getOwnPropertyNames(window).filter((name) => !blank.has(name));
    }"""
    assert [name for name in page.evaluate(added) if not re.fullmatch(r"\d+|__.*", name)] == []


def test_a_wrong_password_is_said_in_words(page: Page) -> None:
    page.get_by_test_id("sign-out").click()
    page.get_by_test_id("username").fill("admin")
    page.get_by_test_id("password").fill("wrong")
    page.get_by_test_id("sign-in-submit").click()
    expect(page.get_by_test_id("sign-in-error")).not_to_be_empty()


def test_upload_shows_progress_and_ends_ready(page: Page, slide_file: Path) -> None:
    page.get_by_test_id("upload-input").set_input_files(slide_file)
    card = page.get_by_test_id("slide-card").filter(has_text="phantom")
    expect(card.first).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    expect(card.first.get_by_test_id("slide-synthetic")).to_be_visible()


def test_a_known_file_says_what_became_of_its_case(
    page: Page, slide_id: str, slide_file: Path
) -> None:
    page.get_by_test_id("upload-stain").fill("ER")
    page.get_by_test_id("upload-input").set_input_files(slide_file)
    told = page.get_by_test_id("notices")
    expect(told).to_contain_text("no second slide was made", timeout=PATIENCE)
    expect(told).to_contain_text("stain stays “HER2”; “ER” was not taken")


def test_a_file_that_is_no_slide_is_refused_in_words(page: Page, tmp_path: Path) -> None:
    wrong = tmp_path / "letter.svs"
    wrong.write_text("Dear colleague, this is not a slide.\n" * 50)
    page.get_by_test_id("upload-input").set_input_files(wrong)
    item = page.get_by_test_id("upload-item").filter(has_text="letter.svs")
    expect(item).to_have_attribute("data-state", "failed", timeout=PATIENCE)


def test_a_missing_pixel_size_is_asked_for(page: Page, shared_data: Path) -> None:
    page.get_by_test_id("upload-input").set_input_files(shared_data / "wsi_her2/tma_0_nompp.svs")
    card = page.get_by_test_id("slide-card").filter(has_text="nompp")
    expect(card).to_have_attribute("data-state", "needs_mpp", timeout=PATIENCE)
    card.get_by_test_id("mpp-input").fill("0.25")
    card.get_by_test_id("mpp-submit").click()
    expect(card).to_have_attribute("data-state", "ready", timeout=PATIENCE)


def test_brush_eraser_undo_and_save(page: Page, slide_id: str, installation: Installation) -> None:
    open_slide(page, slide_id)
    patch_id = open_next(page)
    expect(page.get_by_test_id("reason")).not_to_be_empty()
    before = drawn_px(page)

    page.get_by_test_id("clear-mask").click()
    assert drawn_px(page) == 0
    page.get_by_test_id("tool-brush").click()
    stroke(page, (60, 60), (180, 60))
    painted = drawn_px(page)
    assert painted > 100
    page.get_by_test_id("tool-eraser").click()
    stroke(page, (60, 60), (110, 60))
    erased = drawn_px(page)
    assert 0 < erased < painted
    page.get_by_test_id("undo").click()
    assert drawn_px(page) == painted
    page.get_by_test_id("redo").click()
    assert drawn_px(page) == erased

    page.get_by_test_id("save").click()
    expect(page.get_by_test_id("editor")).to_have_attribute("data-revision", "1", timeout=PATIENCE)
    saved = pixels(annotation(installation, patch_id).raise_for_status().content)
    assert saved.shape == (256, 256)
    assert int((saved == 255).sum()) == erased
    assert saved[60, 170] == 255
    assert saved[60, 70] == 0
    assert before != erased


def test_accept_keeps_the_proposal_and_next_goes_on(
    page: Page, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    patch_id = open_next(page)
    page.get_by_test_id("accept").click()
    until(lambda: annotation(installation, patch_id).status_code == 200, "the accepted mask", 60)
    with installation.client() as client:
        proposed = client.get(f"/patches/{patch_id}/proposal.png").raise_for_status().content
        revisions = client.get(f"/patches/{patch_id}/annotations").raise_for_status().json()
    assert (pixels(annotation(installation, patch_id).content) == pixels(proposed)).all()
    assert revisions["items"][0]["source"] == "proposal"
    editor = page.get_by_test_id("editor")
    if editor.get_attribute("data-patch-id") == patch_id:
        assert open_next(page) != patch_id


def test_two_people_on_one_patch_lose_nothing(
    page: Page, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    patch_id = open_next(page)
    page.get_by_test_id("tool-brush").click()
    stroke(page, (30, 200), (220, 200))
    mine = drawn_px(page)
    with installation.client() as client:
        etag = client.get(f"/patches/{patch_id}").headers["ETag"]
        theirs = client.get(f"/patches/{patch_id}/proposal.png").content
        client.put(
            f"/patches/{patch_id}/annotation",
            content=theirs,
            params={"source": "proposal"},
            headers={"If-Match": etag},
        ).raise_for_status()
    page.get_by_test_id("save").click()
    expect(page.get_by_test_id("conflict")).to_be_visible(timeout=PATIENCE)
    assert drawn_px(page) == mine
    page.get_by_test_id("conflict-mine").click()
    expect(page.get_by_test_id("editor")).to_have_attribute("data-revision", "2", timeout=PATIENCE)
    assert int((pixels(annotation(installation, patch_id).content) == 255).sum()) == mine


def test_overlays_can_be_shown_and_hidden(page: Page, slide_id: str) -> None:
    tiles: list[str] = []
    page.on("response", lambda answer: tiles.append(f"{answer.status} {answer.url}"))
    open_slide(page, slide_id)
    for layer in ("probability", "uncertainty", "annotation", "proposal"):
        button = page.get_by_test_id(f"layer-{layer}")
        of_layer = re.compile(rf"/overlays/{layer}_files/")
        if not any(of_layer.search(tile) for tile in tiles):
            with page.expect_response(of_layer, timeout=PATIENCE):
                button.click()
    page.get_by_test_id("layer-opacity").fill("40")
    shown = [tile for tile in tiles if "_files/" in tile]
    assert shown
    assert all(tile.startswith(("200", "304")) for tile in shown), shown


def test_doubt_is_shown_as_areas_worth_a_look(
    page: Page, slide_id: str, installation: Installation
) -> None:
    open_slide(page, slide_id)
    patch_id = open_next(page)
    shown = page.locator("label", has=page.get_by_test_id("toggle-uncertain"))
    expect(shown).to_contain_text("Areas worth a look")
    expect(page.get_by_test_id("toggle-uncertain")).to_be_enabled()
    with installation.client() as client:
        areas = client.get(f"/patches/{patch_id}/uncertain_areas").json()["items"]
        marked = pixels(client.get(f"/patches/{patch_id}/uncertain_pixels.png").content)
    # the first of the queue is in doubt about a few places, none of them a speck
    assert 1 <= len(areas) <= 8
    assert min(area["pixels"] for area in areas) >= 32
    assert sum(area["pixels"] for area in areas) == (marked == 255).sum()


def test_what_happened_while_the_line_was_down_is_fetched_when_it_is_back(
    page: Page, slide_id: str, installation: Installation
) -> None:
    page.route("**/api/v1/events", lambda route: route.abort())
    page.reload()
    open_slide(page, slide_id)
    with installation.client() as client:
        patch = client.get(f"/slides/{slide_id}/patches?state=proposed").json()["items"][-1]
        mask = client.get(f"/patches/{patch['id']}/proposal.png").content
        client.put(
            f"/patches/{patch['id']}/annotation",
            content=mask,
            params={"source": "proposal"},
            headers={"If-Match": f'"r{patch["revision"]}"'},
        ).raise_for_status()
    patches = re.compile(rf"/slides/{slide_id}/patches\?")
    with page.expect_response(patches, timeout=PATIENCE) as answer:
        page.unroute("**/api/v1/events")
    now = {each["id"]: each["state"] for each in answer.value.json()["items"]}
    assert now[patch["id"]] == "annotated"


def test_a_round_from_the_page(page: Page, slide_id: str, installation: Installation) -> None:
    with installation.client() as client:
        while True:
            shown = client.get("/queue/next", params={"slide_id": slide_id}).raise_for_status()
            patch = shown.json()["patch"]
            etag = client.get(f"/patches/{patch['id']}").headers["ETag"]
            mask = client.get(f"/patches/{patch['id']}/proposal.png").content
            client.put(
                f"/patches/{patch['id']}/annotation",
                content=mask,
                params={"source": "proposal"},
                headers={"If-Match": etag},
            ).raise_for_status()
            roles = [
                item["role"]
                for item in client.get(
                    f"/slides/{slide_id}/patches", params={"state": "annotated"}
                ).json()["items"]
            ]
            if {"training", "gold"} <= set(roles):
                break
    open_slide(page, slide_id)
    page.get_by_test_id("round-start").click()
    item = page.get_by_test_id("round-item").first
    expect(item).to_be_visible(timeout=PATIENCE)
    with installation.client() as client:
        newest = client.get("/rounds").json()["items"][0]["id"]
        end = {"promoted", "kept_back", "not_judged", "abandoned"}
        done = until(finished(client, f"/rounds/{newest}", end), "the round to end")
        cold = client.get("/model-versions").json()["items"][-1]
    expect(item).to_have_attribute("data-state", done["state"], timeout=PATIENCE)
    # since issue 11 what was accepted as proposed judges no model
    assert done["state"] == "not_judged", done
    expect(item).to_contain_text("Not enough to judge")
    expect(item).to_contain_text("cold-start goes on proposing")
    assert cold["state"] == "active"
    # a person may use it all the same
    item.get_by_test_id("round-activate").click()
    expect(item.get_by_test_id("round-activate")).to_have_count(0, timeout=PATIENCE)
    with installation.client() as client:
        active = client.get(f"/model-versions/{done['model_version_id']}").json()
    assert active["state"] == "active"
