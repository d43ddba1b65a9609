"""Webhooks: told in the transaction of what happened, signed, tried again, never in the house."""

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from backend.exchange.webhooks import addresses, sending
from backend.exchange.webhooks import service as webhooks
from backend.exchange.webhooks.tables import Webhook, WebhookDelivery
from backend.job_kinds import JobKind
from backend.kit.db.base import now
from backend.people.users.tables import Role
from backend.settings import Settings, get_settings
from tests.conftest import Service
from tests.support.ready import code, patches_of, put, ready_slide, some_mask
from tests.support.receiver import Receiver, receiving
from worker.reaper import Reaper

DELIVER = (JobKind.DELIVER,)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver on loopback, which this installation allows; asked for before `service`."""
    monkeypatch.setenv("MEMBRANA_WEBHOOK_NETWORKS", "127.0.0.0/8, ::1")
    get_settings.cache_clear()
    with receiving() as running:
        yield running


def added(service: Service, url: str, **more: Any) -> dict[str, Any]:
    answer = service.client.post("/webhooks", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def deliveries(service: Service, webhook_id: str) -> list[dict[str, Any]]:
    answer = service.client.get(f"/webhooks/{webhook_id}/deliveries").raise_for_status()
    return answer.json()["items"]


def mask_saved(service: Service) -> str:
    patch_id = str(patches_of(service.client, ready_slide(service))[0]["id"])
    put(service.client, patch_id, some_mask()).raise_for_status()
    return patch_id


def test_what_happened_is_delivered_signed_and_once(receiver: Receiver, service: Service) -> None:
    made = added(service, receiver.url, events=["annotation.saved"], description="LIS")
    secret = made.pop("secret")
    assert service.client.get(f"/webhooks/{made['id']}").json() == made
    listed = service.client.get("/webhooks")
    assert listed.json()["items"] == [made]
    assert secret not in listed.text
    patch_id = mask_saved(service)
    [waiting] = deliveries(service, made["id"])
    assert (waiting["state"], waiting["attempts"]) == ("pending", 0)
    service.run_jobs(DELIVER)
    [(headers, body)] = receiver.requests
    told = json.loads(body)
    assert (told["type"], told["data"]["id"], told["data"]["revision"]) == (
        "annotation.saved",
        patch_id,
        1,
    )
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    plain = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-membrana-signature-256"] == f"sha256={plain}"
    assert headers["host"] == receiver.url.split("/")[2]
    [delivery] = deliveries(service, made["id"])
    assert (delivery["state"], delivery["status"], delivery["id"]) == (
        "delivered",
        204,
        headers["webhook-id"],
    )
    # nobody finds the secret in the database, nor the address in the trail
    with service.database.reading() as session:
        rows = session.execute(text("SELECT * FROM webhooks")).all()
    assert secret not in str(rows)
    trail = service.client.get("/audit", params={"action": "webhook.added"}).json()["items"]
    assert trail[0]["details"] == {"host": "127.0.0.1", "events": ["annotation.saved"]}
    again = f"/webhooks/{made['id']}/deliveries/{delivery['id']}/retry"
    assert code(service.client.post(again)) == (409, "already_delivered")
    assert service.client.delete(f"/webhooks/{made['id']}").status_code == 204
    put(service.client, patch_id, some_mask(1), if_match='"r1"').raise_for_status()
    assert service.queued(DELIVER) == []
    assert code(service.client.get(f"/webhooks/{made['id']}")) == (404, "webhook_not_found")


def test_a_receiver_that_is_ill_is_asked_again_and_nothing_is_lost(
    receiver: Receiver, service: Service
) -> None:
    made = added(service, receiver.url)
    receiver.answers[:] = [500, 302]
    pinged = service.client.post(f"/webhooks/{made['id']}/ping")
    assert pinged.status_code == 202
    mask_saved(service)
    service.run_jobs(DELIVER)
    assert len(receiver.requests) == 1, "an ill receiver is left alone for now"
    by_event = {each["event"]: each for each in deliveries(service, made["id"])}
    assert "500" in by_event["ping"]["problem"]
    assert by_event["annotation.saved"]["attempts"] == 0
    # what is due is found without a bell, and what waits for its time is not
    reaper = Reaper(service.database, service.settings, name="a", queues="cpu")
    reaper.order_deliveries()
    service.run_jobs(DELIVER)
    by_event = {each["event"]: each for each in deliveries(service, made["id"])}
    assert "302" in by_event["annotation.saved"]["problem"], "and not followed"
    assert by_event["ping"]["attempts"] == 1
    with service.database.writing() as session:
        session.execute(update(WebhookDelivery).values(next_at=now()))
    reaper.order_deliveries()
    service.run_jobs(DELIVER)
    states = {each["event"]: each["state"] for each in deliveries(service, made["id"])}
    assert states == {"ping": "delivered", "annotation.saved": "delivered"}
    ids = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert len(set(ids)) == 2, "a receiver knows by its id what it has had"


def test_what_is_refused_stops_no_other_and_nobody_there_puts_all_off(
    receiver: Receiver, service: Service
) -> None:
    made = added(service, receiver.url)
    receiver.answers[:] = [400]
    service.client.post(f"/webhooks/{made['id']}/ping").raise_for_status()
    mask_saved(service)
    service.run_jobs(DELIVER)
    states = {each["event"]: each["state"] for each in deliveries(service, made["id"])}
    assert states == {"ping": "pending", "annotation.saved": "delivered"}
    gone = added(service, "http://127.0.0.1:1/")
    for _ in range(2):
        service.client.post(f"/webhooks/{gone['id']}/ping").raise_for_status()
    service.run_jobs(DELIVER)
    with service.database.reading() as session:
        assert webhooks.due(session) == [], "one try has found that nobody is there"


def test_a_delivery_that_nobody_takes_fails_and_can_be_tried_anew(
    receiver: Receiver, service: Service
) -> None:
    made = added(service, receiver.url, events=["report.signed"])
    tries = len(webhooks.WAITS) + 1
    receiver.answers[:] = [503] * tries
    service.client.post(f"/webhooks/{made['id']}/ping").raise_for_status()
    for _ in range(tries):
        with service.database.writing() as session:
            session.execute(update(WebhookDelivery).values(next_at=now()))
        Reaper(service.database, service.settings, name="a", queues="cpu").order_deliveries()
        service.run_jobs(DELIVER)
    [delivery] = deliveries(service, made["id"])
    assert (delivery["state"], delivery["attempts"]) == ("failed", tries)
    retry = f"/webhooks/{made['id']}/deliveries/{delivery['id']}/retry"
    service.client.post(retry).raise_for_status()
    service.run_jobs(DELIVER)
    assert deliveries(service, made["id"])[0]["state"] == "delivered"
    receiver.answers[:] = [410]
    service.client.post(f"/webhooks/{made['id']}/ping").raise_for_status()
    service.run_jobs(DELIVER)
    gone = deliveries(service, made["id"])[0]
    assert (gone["state"], gone["attempts"], gone["status"]) == ("failed", 1, 410)
    with service.database.writing() as session:
        webhooks.forget_ended(session, now() + timedelta(minutes=1))
    assert deliveries(service, made["id"]) == []


def test_what_is_undone_is_told_to_nobody(receiver: Receiver, service: Service) -> None:
    made = added(service, receiver.url)
    patch_id = mask_saved(service)
    before = len(deliveries(service, made["id"]))
    assert put(service.client, patch_id, some_mask(1)).status_code == 412
    assert len(deliveries(service, made["id"])) == before
    service.run_jobs()
    kinds = {json.loads(body)["type"] for _, body in receiver.requests}
    assert "annotation.saved" in kinds
    assert "deliver" not in {
        json.loads(body)["data"].get("kind") for _, body in receiver.requests
    }, "a delivery tells of no delivery"


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_without_the_key_a_delivery_waits_and_says_why(
    receiver: Receiver, service: Service
) -> None:
    made = added(service, receiver.url)
    service.client.post(f"/webhooks/{made['id']}/ping").raise_for_status()
    key = service.settings.signing_key_file.with_name("webhooks.key")
    assert key.stat().st_mode & 0o077 == 0
    content = key.read_bytes()
    key.unlink()
    service.run_jobs(DELIVER)
    [delivery] = deliveries(service, made["id"])
    assert (delivery["state"], receiver.requests) == ("pending", [])
    assert "webhooks.key" in delivery["problem"]
    key.write_bytes(content)
    service.client.post(
        f"/webhooks/{made['id']}/deliveries/{delivery['id']}/retry"
    ).raise_for_status()
    service.run_jobs(DELIVER)
    assert len(receiver.requests) == 1


REFUSED = (
    "http://127.0.0.1/",
    "https://127.0.0.1:8000/",
    "https://[::1]/",
    "https://[fec0::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://169.254.169.254/latest/meta-data",
    "https://10.1.2.3/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "http://8.8.8.8/",
    "https://user:word@example.org/",
    "https://exa mple.org/",
    "ftp://example.org/",
    "file:///etc/passwd",
    "https://",
    "https://example.org:99999/",
    "https://[oops/",
    "https://example.org/" + "a" * 2000,
)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_no_webhook_leads_into_the_house(service: Service) -> None:
    for url in REFUSED:
        answer = service.client.post("/webhooks", json={"url": url})
        assert answer.status_code == 422, url
        assert answer.json()["code"] in {"webhook_url_refused", "invalid"}
    assert service.client.get("/webhooks").json()["items"] == []
    for wrong in ({"events": ["everything"]}, {"secret": "mine"}):
        answer = service.client.post("/webhooks", json={"url": "https://example.org", **wrong})
        assert code(answer) == (422, "invalid")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_name_that_leads_into_the_house_is_found_out_when_it_is_used(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is resolved for each delivery, and the connection goes to what was checked."""
    named = added(service, "https://localhost:1/")
    service.client.post(f"/webhooks/{named['id']}/ping").raise_for_status()
    service.run_jobs(DELIVER)
    assert "not a public one" in deliveries(service, named["id"])[0]["problem"]
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))
    private = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.168.0.1", 443))
    parts = addresses.parse("https://example.org:8443/a?b", service.settings)
    for found, good in (([public], True), ([public, private], False)):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, found=found, **__: found)
        if good:
            address = addresses.resolved(parts, service.settings)
            assert sending.at_address(parts, str(address)) == "https://93.184.216.34:8443/a?b"
        else:
            with pytest.raises(addresses.UrlRefused):
                addresses.resolved(parts, service.settings)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_webhooks_are_for_administrators(service: Service, tmp_path: Path) -> None:
    for role in (Role.VIEWER, Role.PATHOLOGIST):
        client = service.client_of(role)
        for method, path in (("GET", ""), ("POST", ""), ("DELETE", "/1"), ("GET", "/1/deliveries")):
            body = {"json": {"url": "https://example.org"}} if method == "POST" else {}
            assert code(client.request(method, f"/webhooks{path}", **body)) == (403, "not_allowed")
    for number in range(webhooks.MOST):
        added(service, f"https://example.org/{number}")
    answer = service.client.post("/webhooks", json={"url": "https://example.org/"})
    assert code(answer) == (409, "too_many_webhooks")
    with service.database.reading() as session:
        assert len(session.scalars(select(Webhook)).all()) == webhooks.MOST
    with pytest.raises(ValueError, match="house"):
        Settings(webhook_networks="house")
