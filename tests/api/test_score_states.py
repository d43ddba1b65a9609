"""States of the live score: moved by a table, told by the slide, and no run fails another."""

from typing import Any

import pytest
from sqlalchemy import select, update

from backend.her2.scores.changes import go, held, touch
from backend.her2.scores.service import give_up
from backend.her2.scores.tables import LiveScore, ScoreState
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job, JobState
from backend.kit.errors import Conflict
from backend.kit.events.tables import Event
from backend.kit.storage.blobs import Blobs
from tests.conftest import Service
from tests.support.ready import code, ready_slide, request
from tests.support.scoring import slide_with_tumour

SCORE = (JobKind.SCORE,)
pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def test_no_prediction_says_whether_one_is_on_its_way(service: Service) -> None:
    slide_id = ready_slide(service)
    job_id = request(service, slide_id)

    def refused(path: str) -> dict[str, Any]:
        ask = service.client.put if path == "score" else service.client.post
        answer = ask(f"/slides/{slide_id}/{path}", json={})
        assert code(answer) == (409, "no_prediction")
        return answer.json()

    waiting = refused("score")
    assert "waits in the queue" in waiting["detail"]
    assert (waiting["job_id"], waiting["job_state"]) == (job_id, "queued")
    with service.database.writing() as session:
        job = jobs.claim(session, job_id, owner="a worker", lease_seconds=60)
        assert job is not None
        jobs.report(session, job_id, owner="a worker", progress=0.42, message="")
    running = refused("reports")
    assert "being found now: 42 % is done" in running["detail"]
    assert (running["job_state"], running["progress"]) == ("running", 0.42)
    with service.database.writing() as session:
        problem = {"code": "disk", "detail": "The disk broke."}
        jobs.fail(
            session,
            service.settings,
            job_id,
            owner="a worker",
            problem=problem,
            state=JobState.FAILED,
        )
    failed = refused("score")
    assert "could not be found. The disk broke. Ask for" in failed["detail"]


def test_two_who_say_something_at_once_are_both_heard(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = slide_with_tumour(service)
    address = f"/slides/{slide_id}/score"
    service.client.put(address, json={}).raise_for_status()
    put = Blobs.put
    stored: list[bytes] = []

    def slow(self: Blobs, data: bytes) -> str:
        stored.append(data)
        if len(stored) == 1:
            service.client.put(address, json={"merge_zero_plus": True}).raise_for_status()
        return put(self, data)

    monkeypatch.setattr(Blobs, "put", slow)
    service.client.put(address, json={"cytoplasm_obscures": True}).raise_for_status()
    score = service.client.get(address).json()
    assert (score["merge_zero_plus"], score["cytoplasm_obscures"]) == (True, True)
    assert len(stored) == 3, "the slower one began anew, on what the other had said"


def test_a_run_that_fails_late_does_not_fail_the_score_that_is_computed_next(
    service: Service,
) -> None:
    slide_id = slide_with_tumour(service)
    first = service.client.put(f"/slides/{slide_id}/score", json={}).json()["id"]
    with service.database.writing() as session:
        old = jobs.get(session, first)
        # its end is written when a change has asked for another run already
        session.execute(update(Job).where(Job.id == first).values(state=JobState.CANCELLED))
        assert touch(session, service.settings, slide_id) is not None
        give_up(
            session,
            service.settings,
            old,
            {"code": "cancelled", "detail": "Somebody cancelled this."},
        )
    assert service.client.get(f"/slides/{slide_id}/score").json()["state"] == "computing"
    service.run_jobs(SCORE)
    score = service.client.get(f"/slides/{slide_id}/score").json()
    assert (score["state"], score["problem"]) == ("current", None)


def test_a_score_moves_by_its_table_and_every_move_is_told_by_the_slides_id(
    service: Service,
) -> None:
    slide_id = slide_with_tumour(service)
    service.client.put(f"/slides/{slide_id}/score", json={}).raise_for_status()
    service.run_jobs(SCORE)
    with service.database.reading() as session:
        told = session.scalars(
            select(Event).where(Event.topic == LiveScore.TOPIC).order_by(Event.id)
        ).all()
    assert {each.subject_id for each in told} == {slide_id}
    assert [each.data["state"] for each in told] == ["computing", "current"]
    last = service.client.get(f"/slides/{slide_id}/score").json()
    assert told[-1].data["printed_score"] == last["printed_score"]
    assert told[-1].data["revision"] == last["revision"] == 1
    with service.database.writing() as session, pytest.raises(Conflict) as refused:
        go(session, held(session, slide_id), ScoreState.FAILED)
    assert refused.value.problem_code == "score_state"
