"""One's own password in the browser: changed at will, and forced after an administrator's reset."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PASSWORD
from tests.support.drawing import PATIENCE
from tests.support.installation import Installation

pytestmark = pytest.mark.slow
NEXT, GIVEN, LAST = "another good password", "given by the admin", "one that only I know"


@pytest.fixture
def open_page(browser: Browser, installation: Installation) -> Callable[[], Page]:
    def opened() -> Page:
        page = browser.new_context(viewport={"width": 1200, "height": 800}).new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"http://127.0.0.1:{installation.port}/")
        return page

    return opened


def enter(page: Page, password: str) -> None:
    page.get_by_test_id("username").fill("kim")
    page.get_by_test_id("password").fill(password)
    page.get_by_test_id("sign-in-submit").click()


def change(page: Page, old: str, new: str, again: str | None = None) -> None:
    page.get_by_test_id("old-password").fill(old)
    page.get_by_test_id("new-password").fill(new)
    page.get_by_test_id("new-password-again").fill(again or new)
    page.get_by_test_id("password-submit").click()


def test_a_password_is_changed_at_will_and_after_a_reset(
    installation: Installation, open_page: Callable[[], Page]
) -> None:
    with installation.client() as client:
        new = {"username": "kim", "password": PASSWORD, "role": "pathologist"}
        user_id = client.post("/users", json=new).raise_for_status().json()["id"]
    page, elsewhere = open_page(), open_page()
    for each in (page, elsewhere):
        enter(each, PASSWORD)
        expect(each.get_by_test_id("user-name")).to_have_text("kim")

    page.get_by_test_id("user-name").click()
    problem = page.get_by_test_id("password-problem")
    change(page, PASSWORD, NEXT, again="something else")
    expect(problem).to_have_text("The two new passwords differ.")
    change(page, "not the old one", NEXT)
    expect(problem).to_contain_text("The old password is wrong")
    change(page, PASSWORD, "short")
    expect(problem).to_contain_text("at least 12 characters")
    change(page, PASSWORD, NEXT)
    expect(page.get_by_text("Your password is changed.")).to_be_visible()
    expect(page.get_by_test_id("account-dialog")).to_have_count(0)
    # here one works on, elsewhere one is signed out
    page.get_by_test_id("back-to-slides").click()
    elsewhere.reload()
    expect(elsewhere.get_by_test_id("sign-in-form")).to_be_visible()

    with installation.client() as client:
        reset = {"password": GIVEN}
        client.post(f"/users/{user_id}/password", json=reset).raise_for_status()
    page.reload()
    enter(page, GIVEN)
    expect(page.get_by_test_id("password-required")).to_contain_text("password of kim")
    page.reload()
    expect(page.get_by_test_id("password-required")).to_be_visible()
    expect(page.get_by_test_id("slide-list")).to_have_count(0)
    change(page, GIVEN, LAST)
    expect(page.get_by_test_id("user-name")).to_have_text("kim")
    page.get_by_test_id("sign-out").click()
    enter(page, LAST)
    expect(page.get_by_test_id("user-name")).to_have_text("kim")
    for each in (page, elsewhere):
        each.context.close()
