"""Housekeeping: what killed processes left goes, what lives stays."""

import os
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import JobState
from backend.kit.db.base import now
from backend.kit.db.session import Database
from backend.kit.storage import pyramids
from backend.kit.storage.blobs import Blobs
from backend.learning.model_versions.tables import ModelVersion
from backend.learning.rounds.lifecycle import training_folder
from backend.learning.rounds.tables import Round, RoundState
from backend.settings import Settings
from worker.predictors import register_cold_start
from worker.run import run_job


def clean_up(database: Database, settings: Settings) -> None:
    with database.writing() as session:
        job_id = jobs.enqueue(session, settings, JobKind.CLEANUP, "installation").id
    run_job(job_id, settings)
    with database.reading() as session:
        assert jobs.get(session, job_id).state == JobState.SUCCEEDED


def aged(path: Path, age: timedelta) -> None:
    then = (now() - age).timestamp()
    os.utime(path, (then, then))


def test_checkpoints_go_with_their_round(database: Database, settings: Settings) -> None:
    with database.writing() as session:
        register_cold_start(session, Blobs(settings.blob_folder))
        parent = session.scalars(select(ModelVersion.id)).one()
        rows = [
            Round(state=state, parent_model_version_id=parent)
            for state in (RoundState.TRAINING, RoundState.PROMOTED, RoundState.ABANDONED)
        ]
        session.add_all(rows)
        session.flush()
        ids = [row.id for row in rows]
    folders = [training_folder(settings, round_id) for round_id in (*ids, "of-another-database")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "checkpoint.pt").write_bytes(b"weights")
    clean_up(database, settings)
    assert [folder.exists() for folder in folders] == [True, False, False, False]
    assert (folders[0] / "checkpoint.pt").is_file()


def test_drafts_of_killed_processes_go_after_a_day(database: Database, settings: Settings) -> None:
    folder = pyramids.folder_of(settings.pyramid_folder, "5" * 64, "version")
    pyramid = pyramids.create(folder, (512, 512), 0.25)
    left, begun = folder.parent / ".draft-left", folder.parent / ".draft-begun"
    for draft in (left, begun):
        pyramids.write_empty(draft, (512, 512), 0.25)
    piece = folder.parent / ".draft-piece"
    piece.write_bytes(b"half a shard")
    for path in (left, piece, folder):
        aged(path, timedelta(days=2))
    aged(begun, timedelta(hours=1))
    clean_up(database, settings)
    assert set(folder.parent.iterdir()) == {folder, begun}
    assert pyramid.read(0, 0, 0, (8, 8), [0]).shape == (1, 8, 8)


def test_there_may_be_nothing_to_clean(database: Database, settings: Settings) -> None:
    assert not settings.training_folder.exists()
    clean_up(database, settings)
