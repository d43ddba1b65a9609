"""A job that failed for good leaves no row in `computing`, whichever process notices it."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from backend.her2.reports.tables import Report, ReportState
from backend.her2.scores.tables import LiveScore, ScoreState
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job
from backend.kit.db.base import now
from backend.learning.rounds.tables import Round, RoundState
from backend.people.users.tables import User
from backend.slides.catalogue.tables import Slide, SlideState
from tests.conftest import Service
from tests.support.learning import add_slide, annotate_some
from tests.support.ready import ready_slide, request
from worker.reaper import Reaper

SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
KINDS = """
import sys
from backend.jobs.service import ON_FAILURE
from backend.job_kinds import WITHOUT_ROW, JobKind
import worker.reaper
print(sorted(set(JobKind) - set(ON_FAILURE) - WITHOUT_ROW), "torch" in sys.modules)
print(sorted(WITHOUT_ROW & set(ON_FAILURE)))
"""
LOOK = """
from backend.kit.db.session import get_database
from backend.settings import get_settings
from worker.reaper import Reaper
settings = get_settings()
Reaper(get_database(settings.sqlalchemy_url), settings, name="another", queues="cpu").look()
"""


def python(program: str) -> str:
    """Run a program as a process that has loaded nothing yet, with this installation's settings."""
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_worker_that_only_watches_settles_every_kind_of_job() -> None:
    assert python(KINDS).splitlines() == ["[] False", "[]"]


def lose(service: Service, job_id: str) -> None:
    """Let a job's worker vanish at its last attempt."""
    with service.database.writing() as session:
        assert jobs.claim(session, job_id, owner="gone", lease_seconds=60)
        session.execute(
            update(Job)
            .where(Job.id == job_id)
            .values(attempts=Job.max_attempts, lease_until=now() - timedelta(seconds=1))
        )


@SQLITE
def test_what_a_lost_job_was_for_is_settled(service: Service) -> None:
    slide_id = add_slide(service.database, service.settings, 1)
    annotate_some(service.database, service.settings, slide_id, 1, 2, 1)
    asked = service.client.post("/rounds").raise_for_status().json()
    with service.database.writing() as session:
        user = session.scalars(select(User)).first()
        assert user is not None
        report = Report(slide_id=slide_id, requested_by=user.id, inputs={})
        session.add_all([report, LiveScore(slide_id=slide_id, protocol="asco-cap-2023")])
        session.get_one(Slide, slide_id).state = SlideState.INGESTING
        session.flush()
        subjects = (
            (JobKind.REPORT, report.id),
            (JobKind.SCORE, slide_id),
            (JobKind.INGEST, slide_id),
        )
        lost = [jobs.enqueue(session, service.settings, *each).id for each in subjects]
    for job_id in (*lost, asked["job"]["id"]):
        lose(service, job_id)
    python(LOOK)
    with service.database.reading() as session:
        assert session.scalars(select(Report.state)).one() == ReportState.FAILED
        score = session.scalars(select(LiveScore)).one()
        assert (score.state, (score.problem or {})["code"]) == (ScoreState.FAILED, "worker_lost")
        slide = session.get_one(Slide, slide_id)
        assert (slide.state, (slide.problem or {})["code"]) == (SlideState.FAILED, "worker_lost")
        assert session.scalars(select(Round.state)).one() == RoundState.ABANDONED


def test_a_slide_whose_proposals_failed_says_so_until_they_are_there(service: Service) -> None:
    slide_id, other = ready_slide(service), ready_slide(service, seed=4)
    lose(service, request(service, slide_id))
    Reaper(service.database, service.settings, name="test", queues="gpu").look()
    shown = {each["id"]: each for each in service.client.get("/slides").json()["items"]}
    assert shown[slide_id]["state"] == "ready"
    assert shown[slide_id]["problem"]["code"] == "worker_lost"
    assert shown[slide_id]["problem"]["detail"].startswith("The proposals could not be made.")
    assert shown[other]["problem"] is None
    request(service, slide_id)
    assert service.client.get(f"/slides/{slide_id}").json()["problem"] is None, "tried again"
