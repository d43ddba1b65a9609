"""Tokens that may less than their owner: by role, by scope, by time."""

from datetime import timedelta
from typing import Any

from sqlalchemy import update
from starlette.testclient import TestClient

from backend.app import create_app
from backend.kit.db.base import now
from backend.people.users.scopes import READS, Scope, needed
from backend.people.users.tables import ApiToken, Role
from tests.conftest import Service
from tests.support.tus import begin


def with_token(service: Service, maker: TestClient, **wanted: Any) -> TestClient:
    made = maker.post("/tokens", json={"name": "script", **wanted}).raise_for_status().json()
    client = TestClient(service.client.app, base_url="http://testserver/api/v1")
    client.headers["Authorization"] = f"Bearer {made['token']}"
    return client


def codes(client: TestClient, *asked: tuple[str, str]) -> list[str | None]:
    answers = [client.request(method, path, json={}) for method, path in asked]
    return [None if each.is_success else each.json()["code"] for each in answers]


def test_a_token_may_be_less_than_its_owner_and_never_more(service: Service) -> None:
    viewer = with_token(service, service.client, role="viewer")
    assert viewer.get("/slides").status_code == 200
    assert codes(viewer, ("POST", "/rounds"), ("GET", "/users")) == ["not_allowed"] * 2
    assert viewer.get("/users/me").json()["role"] == "viewer"
    own = with_token(service, viewer)
    assert own.get("/users/me").json()["role"] == "viewer", "none makes one that is more"
    refused = viewer.post("/tokens", json={"name": "more", "role": "admin"})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    pathologist = service.client_of(Role.PATHOLOGIST)
    assert pathologist.post("/tokens", json={"name": "x", "role": "admin"}).status_code == 403
    # the owner's own row is as it was
    assert service.client.get("/users/me").json()["role"] == "admin"


def test_a_scope_opens_its_addresses_and_no_others(service: Service) -> None:
    reader = with_token(service, service.client, scopes=["read"])
    assert codes(reader, ("GET", "/slides"), ("GET", "/metrics")) == [None, None]
    missing = [
        ("GET", "/users"),
        ("GET", "/audit"),
        ("GET", "/queue/next"),
        ("POST", "/rounds"),
        ("POST", "/tokens"),
        ("DELETE", "/slides/1"),
        ("POST", "/session/password"),
    ]
    assert codes(reader, *missing) == ["scope_missing"] * len(missing)
    scraper = with_token(service, service.client, scopes=["metrics"])
    assert codes(scraper, ("GET", "/metrics"), ("GET", "/slides")) == [None, "scope_missing"]
    uploader = with_token(service, service.client, scopes=["upload"])
    assert begin(uploader, 10, **{"Upload-Metadata": "filename YS5zdnM="})
    assert codes(uploader, ("DELETE", "/slides/1"), ("GET", "/audit")) == ["scope_missing"] * 2
    annotator = with_token(service, service.client, scopes=["annotate"])
    monai = ("POST", "/monai/activelearning/random"), ("POST", "/monai/train")
    assert codes(annotator, *monai, ("GET", "/webhooks")) == [None, *["scope_missing"] * 2]
    manager = with_token(service, service.client, scopes=["manage"])
    assert codes(manager, ("GET", "/webhooks"), ("GET", "/slides")) == [None, "scope_missing"]
    # what is limited makes nothing that is not
    limited = manager.post("/tokens", json={"name": "free"})
    assert (limited.status_code, limited.json()["code"]) == (403, "token_limited")


def test_every_change_belongs_to_one_scope() -> None:
    """A new route is nobody's but MANAGE's until it is named."""
    of_managers = set()
    for address, methods in create_app().openapi()["paths"].items():
        path = address.removeprefix("/api/v1")
        for method in {each.upper() for each in methods} - READS:
            [scope] = needed(method, path.replace("{", "").replace("}", ""))
            if scope == Scope.MANAGE:
                of_managers.add(f"{method} {path}")
    assert of_managers == {
        "POST /session",
        "DELETE /session",
        "POST /session/password",
        "POST /users",
        "PATCH /users/{user_id}",
        "POST /users/{user_id}/password",
        "PATCH /users/me",
        "POST /tokens",
        "DELETE /tokens/{token_id}",
        "DELETE /slides/{slide_id}",
        "POST /webhooks",
        "DELETE /webhooks/{webhook_id}",
        "POST /webhooks/{webhook_id}/ping",
        "POST /webhooks/{webhook_id}/deliveries/{delivery_id}/retry",
    }


def test_a_token_ends_when_it_said_it_would(service: Service) -> None:
    tomorrow = (now() + timedelta(days=1)).isoformat()
    client = with_token(service, service.client, expires_at=tomorrow, scopes=["read"])
    assert client.get("/slides").status_code == 200
    listed = service.client.get("/tokens").json()["items"][-1]
    assert (listed["scopes"], listed["expires_at"][:10]) == (["read"], tomorrow[:10])
    with service.database.writing() as session:
        session.execute(
            update(ApiToken).where(ApiToken.expires_at.is_not(None)).values(expires_at=now())
        )
    answer = client.get("/slides")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
    assert len(service.client.get("/tokens").json()["items"]) == 1
    for wrong, code in (
        ({"expires_at": now().isoformat()}, "expires_in_the_past"),
        ({"expires_at": "2090-01-01T00:00:00"}, "invalid"),
        ({"scopes": []}, "invalid"),
        ({"scopes": ["everything"]}, "invalid"),
    ):
        refused = service.client.post("/tokens", json={"name": "x", **wrong})
        assert (refused.status_code, refused.json()["code"]) == (422, code)
