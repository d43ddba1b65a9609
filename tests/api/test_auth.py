"""Who may come in, and how far: passwords, links, cookies, tokens, roles."""

from http.cookies import SimpleCookie

import pytest
from starlette.testclient import TestClient

from backend.auth import service as auth
from backend.auth.routes import throttle
from backend.auth.tables import Role
from backend.auth.throttle import TRIES
from tests.conftest import Service

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def forgiving() -> None:
    """Each test begins without anybody's failures."""
    throttle._failures.clear()


@pytest.fixture
def anna(service: Service) -> str:
    new = {"username": "anna", "role": "pathologist", "password": PASSWORD}
    service.client.post("/users", json=new).raise_for_status()
    return "anna"


@pytest.fixture
def browser(service: Service) -> TestClient:
    return TestClient(service.client.app, base_url="http://testserver/api/v1")


def sign_in(browser: TestClient, name: str, password: str = PASSWORD):
    return browser.post("/session", json={"username": name, "password": password})


def test_nobody_sees_anything_without_signing_in(browser: TestClient) -> None:
    for path in ("/slides", "/jobs", "/rounds", "/model-versions", "/audit", "/events", "/metrics"):
        answer = browser.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "not_signed_in"


def test_sign_in_gives_a_cookie_that_scripts_cannot_read(browser: TestClient, anna: str) -> None:
    answer = sign_in(browser, anna)
    assert answer.json()["user"]["username"] == anna
    cookie = SimpleCookie(answer.headers["set-cookie"])["membrana_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "lax"
    assert browser.get("/session").json()["user"]["role"] == "pathologist"


def test_a_change_needs_the_csrf_token(browser: TestClient, anna: str) -> None:
    csrf = sign_in(browser, anna).json()["csrf_token"]
    assert browser.post("/tokens", json={"name": "x"}).json()["code"] == "csrf"
    sent = {"X-CSRF-Token": "wrong"}
    assert browser.post("/tokens", json={"name": "x"}, headers=sent).status_code == 403
    sent = {"X-CSRF-Token": csrf}
    assert browser.post("/tokens", json={"name": "x"}, headers=sent).status_code == 201


def test_signing_out_ends_the_session(browser: TestClient, anna: str) -> None:
    csrf = sign_in(browser, anna).json()["csrf_token"]
    secret = browser.cookies["membrana_session"]
    assert browser.delete("/session", headers={"X-CSRF-Token": csrf}).status_code == 204
    browser.cookies.set("membrana_session", secret)
    assert browser.get("/slides").status_code == 401


def test_a_wrong_password_and_an_unknown_name_look_alike(browser: TestClient, anna: str) -> None:
    wrong = sign_in(browser, anna, "not the password")
    unknown = sign_in(browser, "nobody", "not the password")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()


def test_guessing_is_slowed_down(browser: TestClient, anna: str) -> None:
    answers = [sign_in(browser, anna, f"guess {n}").status_code for n in range(TRIES + 1)]
    assert answers == [401] * TRIES + [429]
    assert int(sign_in(browser, anna).headers["Retry-After"]) > 0


def test_a_link_signs_in_once(service: Service, browser: TestClient) -> None:
    with service.database.writing() as session:
        user = auth.create_user(session, name="first", role=Role.ADMIN)
        link = auth.create_sign_in_link(session, user)
    assert browser.post("/session", json={"link": link}).json()["user"]["username"] == "first"
    again = browser.post("/session", json={"link": link})
    assert (again.status_code, again.json()["code"]) == (401, "link_not_valid")


def test_a_token_is_kept_as_a_hash(service: Service) -> None:
    token = service.client.post("/tokens", json={"name": "script"}).json()["token"]
    with service.database.reading() as session:
        assert auth.user_of_token(session, token) is not None
        assert auth.user_of_token(session, token + "x") is None
        stored = session.connection().exec_driver_sql("SELECT secret_sha256 FROM api_tokens")
        assert token not in str(stored.all())


def test_roles(service: Service) -> None:
    viewer, pathologist = service.client_of(Role.VIEWER), service.client_of(Role.PATHOLOGIST)
    assert viewer.get("/slides").status_code == 200
    assert viewer.post("/rounds").status_code == 403
    assert pathologist.get("/users").json()["code"] == "not_allowed"
    assert pathologist.get("/audit").status_code == 403
    assert service.client.get("/users").status_code == 200


def test_who_is_deactivated_is_out_at_once(
    service: Service, anna: str, browser: TestClient
) -> None:
    sign_in(browser, anna)
    user_id = browser.get("/session").json()["user"]["id"]
    service.client.patch(f"/users/{user_id}", json={"active": False}).raise_for_status()
    assert browser.get("/slides").status_code == 401
    assert sign_in(browser, anna).status_code == 401


def test_the_last_admin_stays(service: Service) -> None:
    people = service.client.get("/users").json()["items"]
    admin = next(person for person in people if person["role"] == "admin")
    answer = service.client.patch(f"/users/{admin['id']}", json={"role": "viewer"})
    assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")


def test_a_short_password_and_a_taken_name_are_refused(service: Service, anna: str) -> None:
    short = service.client.post(
        "/users", json={"username": "b", "role": "viewer", "password": "short"}
    )
    assert short.json()["code"] == "password_too_short"
    taken = service.client.post(
        "/users", json={"username": anna, "role": "viewer", "password": PASSWORD}
    )
    assert taken.json()["code"] == "user_exists"


def test_the_trail_names_who_did_what(service: Service, anna: str) -> None:
    entries = service.client.get("/audit").json()["items"]
    added = next(entry for entry in entries if entry["action"] == "added_user")
    assert added["details"] == {"role": "pathologist"}
    assert PASSWORD not in str(entries)
