"""A slide's masks are downloaded from its card, once somebody has drawn one."""

import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright.sync_api import Page, expect

from tests.support.installation import Installation
from tests.support.ready import png, some_mask

pytestmark = pytest.mark.slow


def test_masks_are_downloaded_from_the_slides_card(
    page: Page, slide_id: str, installation: Installation
) -> None:
    card = page.locator(f'[data-testid="slide-card"][data-slide-id="{slide_id}"]')
    expect(card).to_have_attribute("data-state", "ready", timeout=60_000)
    with installation.client() as client:
        [patch] = client.get(f"/slides/{slide_id}/patches?limit=1").json()["items"]
        client.put(
            f"/patches/{patch['id']}/annotation",
            content=png(some_mask()),
            headers={"If-Match": f'"r{patch["revision"]}"', "Content-Type": "image/png"},
        ).raise_for_status()
    page.reload()
    for ending in ("geojson", "png.zip", "coco.zip", "ome-zarr.zip"):
        with page.expect_download() as waiting:
            card.get_by_test_id(f"masks-{ending}").click()
        assert waiting.value.suggested_filename.endswith(ending.rpartition(".")[2])
        file = Path(waiting.value.path())
        if ending == "geojson":
            features = json.loads(file.read_text())["features"]
            assert patch["id"] in {each["properties"]["patch_id"] for each in features}
        else:
            with ZipFile(file) as archive:
                assert "manifest.json" in archive.namelist()
