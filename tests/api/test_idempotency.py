"""Idempotency-Key: a person's own, one route's, and one request's; nobody else's words matter."""

import pytest

from backend.job_kinds import JobKind
from backend.jobs.tables import JobState
from backend.kit.db.base import now
from backend.people.users.tables import Role
from tests.conftest import Service
from tests.support.ready import PREDICT, code, ready_slide
from worker.reaper import Reaper

BOX = {"x": 0, "y": 0, "width": 10, "height": 10}


def ask(service: Service, slide_id: str, key: str, role: Role | None = None, **box: int) -> str:
    client = service.client_of(role) if role else service.client
    answer = client.post(
        f"/slides/{slide_id}/predictions", json=box, headers={"Idempotency-Key": key}
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_a_key_may_be_the_words_of_the_services_own(service: Service) -> None:
    """It used to end the watch over lost jobs: the key of this hour's cleanup was taken."""
    slide_id = ready_slide(service)
    for name in (f"cleanup {now():%Y-%m-%dT%H}", "k"):
        ask(service, slide_id, name)
    Reaper(service.database, service.settings, name="test", queues="cpu").look()
    assert len(service.queued((JobKind.CLEANUP,))) == 1


def test_two_people_may_choose_the_same_key(service: Service) -> None:
    slide_id = ready_slide(service)
    mine = ask(service, slide_id, "1")
    theirs = ask(service, slide_id, "1", Role.PATHOLOGIST, **BOX)
    assert mine != theirs
    service.run_jobs(PREDICT)
    assert ask(service, slide_id, "1") == mine


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_key_belongs_to_one_route(service: Service) -> None:
    """A round refused for want of masks, and not for a key that named a prediction."""
    ask(service, ready_slide(service), "1")
    answer = service.client.post("/rounds", headers={"Idempotency-Key": "1"})
    assert code(answer) == (422, "too_few_annotations")


def test_a_key_with_another_request_is_a_conflict_in_words(service: Service) -> None:
    one, other = ready_slide(service), ready_slide(service, seed=4)
    first = ask(service, one, "1")
    url, key = f"/slides/{other}/predictions", {"Idempotency-Key": "1"}
    answer = service.client.post(url, json={}, headers=key)
    assert code(answer) == (409, "idempotency_key_reused")
    assert "new key" in answer.json()["detail"]
    url = f"/slides/{one}/predictions"
    answer = service.client.post(url, json=BOX, headers=key)
    assert code(answer) == (409, "idempotency_key_reused"), "another body"
    assert service.client.get(f"/jobs/{first}").json()["state"] == JobState.QUEUED
