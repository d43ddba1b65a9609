"""A full disk is called one, and leaves nothing half written under a name that counts."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from backend.job_kinds import JobKind
from backend.jobs.tables import Job, JobState
from backend.kit.storage import blobs, pyramids
from backend.kit.storage.blobs import also_at
from tests.conftest import Service
from tests.support.ready import PREDICT, predicted_slide, ready_slide, request


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_job_that_meets_a_full_disk_says_so(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = ready_slide(service)
    job_id = request(service, slide_id)
    with monkeypatch.context() as patch:
        patch.setattr(pyramids, "write_empty", full)
        service.run_jobs(PREDICT)
    with service.database.reading() as session:
        job = session.scalars(select(Job).where(Job.id == job_id)).one()
    assert job.kind == JobKind.PREDICT
    assert (job.state, job.attempts) == (JobState.FAILED, service.settings.max_attempts)
    assert job.problem is not None
    assert job.problem["code"] == "no_space"
    assert predicted_slide(service, seed=4), "with room again it works"


def test_a_second_name_is_of_the_whole_file_or_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half copy was taken for the file by the next try."""
    source, target = tmp_path / "a", tmp_path / "folder" / "b"
    source.write_bytes(bytes(range(256)) * 9000)
    target.parent.mkdir()
    monkeypatch.setattr(os, "link", full)
    copy = blobs.shutil.copyfileobj

    def half(content: Any, sink: Any) -> None:
        sink.write(content.read(100))
        full()

    monkeypatch.setattr(blobs.shutil, "copyfileobj", half)
    with pytest.raises(OSError, match="No space"):
        also_at(source, target)
    assert list(target.parent.iterdir()) == []
    monkeypatch.setattr(blobs.shutil, "copyfileobj", copy)
    also_at(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert list(target.parent.iterdir()) == [target]
