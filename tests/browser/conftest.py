"""A real Chromium on a real, embedded installation with workers and a phantom to work on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from models.phantom import PhantomSpec, write
from tests.support.drawing import PATIENCE
from tests.support.installation import Installation, embedded
from tests.support.pathologist import idle

# how fast a busy machine shows what it has been told is no test's business
expect.set_options(timeout=PATIENCE)
PASSWORD = "a long enough password"
OFFLINE = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def slide_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser-phantom") / "phantom.tif"
    write(PhantomSpec(width=2048, height=2048, seed=5), path)
    return path


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    data = tmp_path_factory.mktemp("browser") / "data"
    quick = {
        "MEMBRANA_THREADS": "1",
        "MEMBRANA_ROUND_ITERATIONS": "6",
        "MEMBRANA_ROUND_UNLABELLED": "6",
        "MEMBRANA_ROUND_ANNOTATIONS": "0",
    }
    with embedded(data, **quick).running() as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("No Chromium on this machine: `apt-get install chromium`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OFFLINE)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, installation: Installation) -> Iterator[Page]:
    """A signed-in page. Whatever the browser's console calls an error fails the test."""
    yield from signed_in(browser, installation, "admin")


@pytest.fixture
def colleague(browser: Browser, installation: Installation, colleague_name: str) -> Iterator[Page]:
    """Another pathologist, signed in in a browser of their own."""
    yield from signed_in(browser, installation, colleague_name)


@pytest.fixture(scope="session")
def colleague_name(installation: Installation) -> str:
    """The user name of another pathologist, whose password is the same."""
    name = "noor"
    with installation.client() as client:
        who = {"username": name, "password": PASSWORD, "role": "pathologist"}
        client.post("/users", json=who).raise_for_status()
    return name


def signed_in(browser: Browser, installation: Installation, username: str) -> Iterator[Page]:
    """Yield the page of a person in a browser of their own; what its console complains of fails."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"http://127.0.0.1:{installation.port}/")
    sign_in(page, username)
    yield page
    context.close()
    assert not wrong, wrong


def sign_in(page: Page, username: str) -> None:
    page.get_by_test_id("username").fill(username)
    page.get_by_test_id("password").fill(PASSWORD)
    page.get_by_test_id("sign-in-submit").click()
    page.get_by_test_id("user-name").wait_for()


@pytest.fixture
def slide_id(installation: Installation, slide_file: Path) -> str:
    """The phantom, uploaded once and predicted."""
    with installation.client() as client, slide_file.open("rb") as file:
        answer = client.post("/slides", files={"file": (slide_file.name, file)})
        slide = answer.raise_for_status().json()
        idle(client)
        return str(slide["id"])
