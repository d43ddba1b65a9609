"""The pictures of README.md, the first start and a report: `python -m documents.screenshots`.

An embedded installation, a synthetic slide, a real core whose licence allows it (Apache-2.0) and
a real Chromium, as the browser tests have them; a few minutes. No picture names a person.
"""

import io
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pypdfium2  # type: ignore[import-untyped]
from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from benchmarks.tables import DATA
from documents.register import PICTURES, ROOT
from models.phantom import PhantomSpec, write
from tests.browser.conftest import OFFLINE, PASSWORD
from tests.support.installation import Installation, embedded, until
from tests.support.pathologist import Pathologist, idle

SIDE = 2048
SPEC = PhantomSpec(width=SIDE, height=SIDE, seed=5, her2="2+", tumour=0.9)
CORRECTED = 4
REGION = [(150, 150), (1900, 200), (1850, 1880), (180, 1800)]
SIZE = ViewportSize(width=1400, height=860)
QUALITY = 82
"""Of the kept picture: a third of the bytes that it has without loss."""
CORE = DATA / "wsi_her2" / "tma_3plus.svs"
WHOLE_CORE = [(0.32, 0.05), (0.68, 0.05), (0.97, 0.3), (0.97, 0.7), (0.68, 0.97), (0.3, 0.97)]
WHOLE_CORE += [(0.03, 0.7), (0.03, 0.3)]
"""Corners round the tissue, as shares of the slide's sides."""
PAGE_DPI = 96
NEARER = 3
INTO_TISSUE = (320, 230)
"""Pixels that the slide is dragged, away from the phantom's lumen."""
PATIENCE_MS = 120_000


def main() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "breast_phantom.tif"
        truth = path.with_suffix(".truth.tif")
        write(SPEC, path, truth)
        data, first = Path(folder) / "data", {"MEMBRANA_FIRST_MODEL": "starter"}
        with embedded(data, MEMBRANA_THREADS="1", **first).running() as installation:
            core = first_core(installation)
            core_report(installation, core)
            slide = prepared(installation, path, truth)
            with sync_playwright() as playwright:
                chromium = shutil.which("chromium") or shutil.which("chromium-browser")
                browser = playwright.chromium.launch(executable_path=chromium, args=OFFLINE)
                page = browser.new_context(viewport=SIZE).new_page()
                sign_in(page, installation)
                proposals(page, core, "first_core")
                proposals(page, slide, "first_demo")
                annotator(page, slide)
                live_score(page, slide)
                browser.close()


def prepared(installation: Installation, path: Path, truth: Path) -> str:
    """Upload the slide, correct some patches with the truth, draw a region and begin scoring."""
    with installation.client() as client:
        with path.open("rb") as file:
            answer = client.post(
                "/slides",
                files={"file": (path.name, file)},
                data={"stain": "HER2", "case_id": "PHANTOM-5"},
            )
        slide = str(answer.raise_for_status().json()["id"])
        idle(client)
        Pathologist(client, slide, truth).correct(CORRECTED)
        ring = [list(corner) for corner in (*REGION, REGION[0])]
        region = {
            "type": "Feature",
            "properties": {"kind": "tumour"},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        client.post(f"/slides/{slide}/regions", json=region).raise_for_status()
        client.put(
            f"/slides/{slide}/score", json={"protocol": "asco_cap_2023_breast"}
        ).raise_for_status()
        until(lambda: current(client, slide), "the score")
        idle(client)
        return slide


def current(client: httpx.Client, slide: str) -> bool:
    score = client.get(f"/slides/{slide}/score").raise_for_status().json()
    return bool(score["state"] == "current")


def sign_in(page: Page, installation: Installation) -> None:
    page.goto(f"http://127.0.0.1:{installation.port}/")
    page.get_by_test_id("username").fill("admin")
    page.get_by_test_id("password").fill(PASSWORD)
    page.get_by_test_id("sign-in-submit").click()
    page.get_by_test_id("user-name").wait_for()


def first_core(installation: Installation) -> str:
    """Upload a real core (Apache-2.0) to an installation in which nothing was corrected."""
    with installation.client() as client, CORE.open("rb") as file:
        answer = client.post("/slides", files={"file": ("core.svs", file)}, data={"stain": "HER2"})
        slide = str(answer.raise_for_status().json()["id"])
        idle(client)
        return slide


def core_report(installation: Installation, slide: str) -> None:
    """Keep the pages of the core's report, with nothing corrected, as `report_core_N.png`."""
    with installation.client() as client:
        facts = client.get(f"/slides/{slide}").raise_for_status().json()
        ring = [[x * facts["width"], y * facts["height"]] for x, y in WHOLE_CORE]
        region = {
            "type": "Feature",
            "properties": {"kind": "tumour"},
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        }
        client.post(f"/slides/{slide}/regions", json=region).raise_for_status()
        asked = {"protocol": "asco_cap_2023_breast"}
        answer = client.post(f"/slides/{slide}/reports", json=asked).raise_for_status()
        idle(client)
        file = client.get(f"/reports/{answer.json()['report_id']}.pdf").raise_for_status()
    for old in (ROOT / PICTURES).glob("report_core_*.png"):
        old.unlink()
    with pypdfium2.PdfDocument(io.BytesIO(file.content)) as document:
        for number, leaf in enumerate(document, start=1):
            drawn = leaf.render(scale=PAGE_DPI / 72).to_pil()
            drawn.save(ROOT / PICTURES / f"report_core_{number}.png", optimize=True)


def proposals(page: Page, slide: str, name: str) -> None:
    """What the starter proposes on a slide, a little nearer than the whole of it."""
    page.locator(f'[data-slide-id="{slide}"] [data-testid="slide-open"]').click()
    page.get_by_test_id("viewer").wait_for()
    for _ in range(NEARER):
        page.keyboard.press("+")
    page.get_by_test_id("proposals-from").wait_for(timeout=PATIENCE_MS)
    keep(page, name)
    page.goto(page.url.split("#")[0])


def annotator(page: Page, slide: str) -> None:
    """A patch in hand: its proposal, and the pixels to look at first."""
    page.locator(f'[data-slide-id="{slide}"] [data-testid="slide-open"]').click()
    page.get_by_test_id("viewer").wait_for()
    page.keyboard.press("n")
    page.get_by_test_id("drawn").wait_for(timeout=PATIENCE_MS)
    keep(page, "annotator")


def live_score(page: Page, slide: str) -> None:
    """The score of the region, with the cells that it counts."""
    page.keyboard.press("Escape")
    page.keyboard.press("0")
    page.get_by_test_id("tab-score").click()
    page.locator('[data-testid="score"][data-state="current"]').wait_for(timeout=PATIENCE_MS)
    for _ in range(3):
        page.keyboard.press("+")
    page.mouse.move(500, 400)
    page.mouse.down()
    page.mouse.move(500 + INTO_TISSUE[0], 400 + INTO_TISSUE[1], steps=8)
    page.mouse.up()
    page.locator('[data-testid="cells-seen"][data-shown]').wait_for(timeout=PATIENCE_MS)
    keep(page, "score")


def keep(page: Page, name: str) -> None:
    """Write the picture when the viewer has come to rest."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    folder = ROOT / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / f"{name}.jpeg", quality=QUALITY, subsampling=0, optimize=True)


if __name__ == "__main__":
    main()
