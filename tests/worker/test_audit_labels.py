"""An audit from its request to its findings, by the worker's code and real networks."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, event, select, update

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job, JobState
from backend.kit.db.base import now
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.learning.label_issues import lifecycle, service
from backend.learning.label_issues.service import IssueView
from backend.learning.label_issues.tables import IssueKind, LabelAudit, LabelJudgement
from backend.people.users import service as auth
from backend.people.users.tables import Role
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import PatchRole
from tests.support.learning import add_slide, annotate, annotate_some, truth
from worker.data import read_mask
from worker.run import run_job

SQLITE_ONLY = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
"""For what depends on pixels: the database makes no difference to it."""


def ask(database: Database, settings: Settings, **changes: Any) -> str:
    """Ask for an audit by one small network a fold; return the job's id."""
    with database.writing() as session:
        user = auth.create_user(session, name=f"asks at {now()}", role=Role.PATHOLOGIST)
    quick = {"preset": "supervised", "round_iterations": 1, **changes}
    return service.request(database, settings.model_copy(update=quick), by=user).id


def job_of(database: Database, job_id: str) -> Job:
    with database.reading() as session:
        return jobs.get(session, job_id)


def listed(database: Database) -> list[IssueView]:
    with database.reading() as session:
        return service.listing(session, limit=1000, cursor=None)[0]


def judgements(database: Database) -> list[LabelJudgement]:
    with database.reading() as session:
        return list(session.scalars(select(LabelJudgement)))


@pytest.fixture
def slides(database: Database, settings: Settings) -> list[str]:
    """Two slides with true masks: three to learn from and a gold one, then two."""
    ids = [add_slide(database, settings, seed) for seed in (1, 2)]
    annotate_some(database, settings, ids[0], 1, 3, 1)
    annotate_some(database, settings, ids[1], 2, 2, 0)
    return ids


@SQLITE_ONLY
def test_a_mask_that_was_left_empty_is_the_worst_found(
    database: Database, settings: Settings
) -> None:
    slides = [add_slide(database, settings, seed) for seed in (1, 2)]
    # a fifth of these is membrane
    for seed, places in ((1, [(1, 2), (2, 1), (2, 2)]), (2, [(1, 1), (1, 2), (2, 1)])):
        for place in places:
            role = PatchRole.GOLD if place == (1, 2) else PatchRole.TRAINING
            mask = truth(seed, *place)
            annotate(database, settings, slides[seed - 1], place, role, mask)
    empty = np.zeros((256, 256), np.uint8)
    empty[:, :64] = 127
    annotation_id = annotate(database, settings, slides[1], (2, 2), PatchRole.TRAINING, empty)
    job_id = ask(database, settings, round_iterations=50)
    run_job(job_id, settings)
    assert job_of(database, job_id).state == JobState.SUCCEEDED, job_of(database, job_id).problem

    found = listed(database)
    worst = found[0]
    assert worst.annotation.id == annotation_id
    assert worst.issue.kind == IssueKind.MISSING
    pixels = read_mask(Blobs(settings.blob_folder), worst.issue.pixels_sha256) == 255
    assert pixels.sum() == worst.issue.size_px
    rows, columns = np.nonzero(pixels)
    assert (rows.min(), columns.min()) == (worst.issue.row, worst.issue.column)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (worst.issue.height, worst.issue.width)
    assert not pixels[:, :64].any(), "what is ignored is not judged"
    membrane = truth(2, 2, 2) == 255
    assert membrane[pixels].mean() > 2 * membrane.mean(), "it lies where membrane is"

    judged = {each.annotation_id: each for each in judgements(database)}
    assert len(judged) == 7, "gold is judged, too"
    assert judged[annotation_id].judged_px == 256 * 192
    assert judged[annotation_id].doubtful_px >= worst.issue.size_px
    assert worst.audit.held_out == "slide"
    # each slide is judged by the network that learned from the other
    by_slide: dict[str, set[str]] = {}
    for view in found:
        by_slide.setdefault(view.patch.slide_id, set()).add(view.judgement.weights_sha256)
    assert all(len(weights) == 1 for weights in by_slide.values())
    assert len({each.weights_sha256 for each in judged.values()}) == 2
    assert not lifecycle.audit_folder(settings, job_id).exists()


def test_an_audit_that_lost_its_lease_writes_nothing_and_ends_the_same(
    database: Database, settings: Settings, slides: list[str]
) -> None:
    job_id = ask(database, settings)
    lost = []

    def lose_the_lease(_mapper: object, connection: Connection, _row: LabelJudgement) -> None:
        if not lost:
            lost.append(job_id)
            connection.execute(
                update(Job)
                .where(Job.id == job_id)
                .values(owner="gone", lease_until=now() - timedelta(seconds=1))
            )

    event.listen(LabelJudgement, "before_insert", lose_the_lease)
    try:
        run_job(job_id, settings)
    finally:
        event.remove(LabelJudgement, "before_insert", lose_the_lease)
    assert lost
    assert judgements(database) == []
    folder = lifecycle.audit_folder(settings, job_id)
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("fold-*/probability.npy")}
    assert len(kept) == 2

    # a person goes on meanwhile: that is not what this audit is about
    annotate(
        database, settings, slides[0], (3, 3), PatchRole.TRAINING, np.zeros((256, 256), np.uint8)
    )
    with database.writing() as session:
        session.execute(
            update(Job)
            .where(Job.id == job_id)
            .values(owner="gone", lease_until=now() - timedelta(seconds=1))
        )
    with database.writing() as session:
        for lost in jobs.lost(session):
            jobs.recover(session, settings, lost)
    run_job(job_id, settings)
    job = job_of(database, job_id)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert len(judgements(database)) == 6
    assert not folder.exists()
    with database.reading() as session:
        assert service.overview(session).not_judged == 1


@SQLITE_ONLY
def test_with_one_slide_each_patch_is_judged_without_itself(
    database: Database, settings: Settings
) -> None:
    slide_id = add_slide(database, settings, 1)
    annotate_some(database, settings, slide_id, 1, 3, 0)
    run_job(ask(database, settings, audit_folds=5), settings)
    with database.reading() as session:
        audit = service.newest(session)
    assert audit is not None
    assert audit.held_out == "patch"
    assert len({each.weights_sha256 for each in judgements(database)}) == 3


@SQLITE_ONLY
def test_a_slide_that_was_deleted_fails_the_audit_and_leaves_no_folder(
    database: Database, settings: Settings, slides: list[str]
) -> None:
    job_id = ask(database, settings)
    folder = lifecycle.audit_folder(settings, job_id)
    folder.mkdir(parents=True)
    with database.writing() as session:
        session.delete(session.get_one(Slide, slides[1]))
    run_job(job_id, settings)
    job = job_of(database, job_id)
    assert job.state == JobState.FAILED
    assert job.problem is not None
    assert job.problem["code"] == "slide_gone"
    assert not folder.exists()
    with database.reading() as session:
        assert session.scalars(select(LabelAudit)).one().finished_at is None
        assert service.newest(session) is None


@SQLITE_ONLY
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"preset": "none-such"}, "unknown_preset"),
        ({"architecture": "none-such"}, "unknown_architecture"),
    ],
)
def test_settings_that_mean_nothing_fail_at_once(
    database: Database, settings: Settings, slides: list[str], changes: dict[str, str], code: str
) -> None:
    job_id = ask(database, settings, **changes)
    run_job(job_id, settings)
    job = job_of(database, job_id)
    assert job.problem is not None
    assert (job.problem["code"], job.attempts) == (code, 1)


def test_housekeeping_takes_what_ended_audits_left(
    database: Database, settings: Settings, slides: list[str]
) -> None:
    living = lifecycle.audit_folder(settings, ask(database, settings))
    ended = lifecycle.audit_folder(settings, "no-such-job")
    for folder in (living, ended):
        folder.mkdir(parents=True)
    with database.writing() as session:
        cleanup = jobs.enqueue(session, settings, JobKind.CLEANUP, "installation").id
    run_job(cleanup, settings)
    assert living.exists()
    assert not ended.exists()
