"""Passwords changed by their owner or set by an administrator, and all that ends with one."""

from datetime import timedelta

import pytest
from httpx import Response
from sqlalchemy import update
from starlette.testclient import TestClient

from backend.kit.db.base import now
from backend.people.accounts.routes import throttle
from backend.people.users import service as auth
from backend.people.users.tables import BrowserSession, Role
from backend.people.users.throttle import TRIES_OF_NAME
from tests.conftest import Service

FIRST, SECOND = "correct horse battery", "another good password"


@pytest.fixture(autouse=True)
def forgiving() -> None:
    throttle.forget()


@pytest.fixture
def anna(service: Service) -> str:
    new = {"username": "anna", "role": "pathologist", "password": FIRST}
    return service.client.post("/users", json=new).raise_for_status().json()["id"]


def browser(service: Service) -> TestClient:
    return TestClient(service.client.app, base_url="http://testserver/api/v1")


def enter(client: TestClient, password: str, name: str = "anna") -> Response:
    answer = client.post("/session", json={"username": name, "password": password})
    if answer.is_success:
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return answer


def change(client: TestClient, old: str | None, new: str) -> Response:
    return client.post("/session/password", json={"old_password": old, "new_password": new})


def outcome(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_ones_own_password_is_changed_and_all_else_ends(service: Service, anna: str) -> None:
    here, there, program = (browser(service) for _ in range(3))
    for each in (here, there):
        enter(each, FIRST).raise_for_status()
    token = here.post("/tokens", json={"name": "script"}).json()["token"]
    program.headers["Authorization"] = f"Bearer {token}"
    assert program.get("/slides").status_code == 200
    with service.database.writing() as session:
        link = auth.create_sign_in_link(session, auth.get_user(session, anna))

    assert outcome(change(here, "a wrong old one", SECOND)) == (403, "wrong_password")
    assert outcome(change(here, None, SECOND)) == (403, "wrong_password")
    assert outcome(change(here, FIRST, "short")) == (422, "password_too_short")
    assert outcome(change(here, FIRST, FIRST)) == (422, "password_unchanged")
    assert program.get("/slides").status_code == there.get("/slides").status_code == 200

    assert change(here, FIRST, SECOND).json()["username"] == "anna"
    assert here.get("/slides").status_code == 200
    assert there.get("/slides").status_code == 401
    assert outcome(program.get("/slides")) == (401, "wrong_token")
    assert outcome(browser(service).post("/session", json={"link": link}))[1] == "link_not_valid"
    assert enter(there, FIRST).status_code == 401
    assert enter(there, SECOND).status_code == 200
    actions = service.client.get("/audit", params={"subject_id": anna}).json()["items"]
    assert "changed_own_password" in {each["action"] for each in actions}
    assert FIRST not in str(actions)


def test_an_administrators_reset_lets_nothing_through_but_the_change(
    service: Service, anna: str
) -> None:
    here = browser(service)
    enter(here, FIRST).raise_for_status()
    token = here.post("/tokens", json={"name": "script"}).json()["token"]
    reset = service.client.post(f"/users/{anna}/password", json={"password": SECOND})
    assert reset.json()["must_change_password"] is True
    assert here.get("/slides").status_code == 401
    assert enter(here, FIRST).status_code == 401
    program = browser(service)
    program.headers["Authorization"] = f"Bearer {token}"
    assert program.get("/slides").status_code == 401

    assert enter(here, SECOND).json()["user"]["must_change_password"] is True
    for method, path in (
        ("GET", "/slides"),
        ("GET", "/users/me"),
        ("PATCH", "/users/me"),
        ("POST", "/tokens"),
        ("GET", "/events"),
        ("GET", "/metrics"),
    ):
        body = {} if method == "GET" else {"json": {"name": "x", "full_name": "x"}}
        assert outcome(here.request(method, path, **body)) == (403, "password_change_required")
    assert here.get("/session").status_code == 200
    third = "yet another good one"
    assert change(here, SECOND, third).json()["must_change_password"] is False
    assert here.get("/slides").status_code == 200
    out = browser(service)
    enter(out, third).raise_for_status()
    assert out.delete("/session").status_code == 204

    pathologist = service.client_of(Role.PATHOLOGIST)
    refused = pathologist.post(f"/users/{anna}/password", json={"password": SECOND})
    assert outcome(refused) == (403, "not_allowed")
    nobody = service.client.post("/users/nobody/password", json={"password": SECOND})
    assert outcome(nobody) == (404, "user_not_found")


def test_a_password_that_another_sets_is_another_mans_whichever_way(
    service: Service, anna: str
) -> None:
    service.client.patch(f"/users/{anna}", json={"password": SECOND}).raise_for_status()
    here = browser(service)
    assert enter(here, SECOND).json()["user"]["must_change_password"] is True


def test_guessing_the_old_password_is_slowed_down(service: Service, anna: str) -> None:
    here = browser(service)
    enter(here, FIRST).raise_for_status()
    answers = [change(here, f"guess {n}", SECOND).status_code for n in range(TRIES_OF_NAME + 1)]
    assert answers == [403] * TRIES_OF_NAME + [429]


def test_who_came_by_a_link_gives_themselves_a_first_password(service: Service) -> None:
    with service.database.writing() as session:
        user = auth.create_user(session, name="ben", role=Role.VIEWER)
        link = auth.create_sign_in_link(session, user)
        token = auth.create_token(session, user, name="script")
    program = browser(service)
    program.headers["Authorization"] = f"Bearer {token}"
    assert outcome(change(program, None, SECOND)) == (403, "wrong_password")
    here = browser(service)
    csrf = here.post("/session", json={"link": link}).json()["csrf_token"]
    assert outcome(change(here, None, SECOND)) == (403, "csrf")
    here.headers["X-CSRF-Token"] = csrf
    assert change(here, None, SECOND).status_code == 200
    assert enter(browser(service), SECOND, "ben").status_code == 200


def test_who_is_locked_out_comes_back_without_old_tokens(service: Service, anna: str) -> None:
    here, program = browser(service), browser(service)
    enter(here, FIRST).raise_for_status()
    token = here.post("/tokens", json={"name": "script"}).json()["token"]
    program.headers["Authorization"] = f"Bearer {token}"
    for active in (False, True):
        service.client.patch(f"/users/{anna}", json={"active": active}).raise_for_status()
        assert program.get("/slides").status_code == 401
        assert here.get("/slides").status_code == 401
    assert enter(here, FIRST).status_code == 200


def seen(service: Service, minutes: float) -> None:
    with service.database.writing() as session:
        moment = now() - timedelta(minutes=minutes)
        session.execute(update(BrowserSession).values(seen_at=moment))


def test_a_browser_that_nobody_uses_is_signed_out(service: Service, anna: str) -> None:
    here = browser(service)
    enter(here, FIRST).raise_for_status()
    idle = service.settings.idle_minutes
    for _ in range(2):
        # each use begins the time anew
        seen(service, idle - 1)
        assert here.get("/slides").status_code == 200
        # also where the route itself holds the database for writing
        seen(service, idle - 1)
        assert here.post("/tokens", json={"name": "script"}).status_code == 201
    seen(service, idle + 1)
    assert outcome(here.get("/slides")) == (401, "not_signed_in")
