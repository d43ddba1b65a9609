"""Another active model: every slide is asked for again, in few statements for any number."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, select

from backend.job_kinds import JobKind
from backend.jobs.tables import Job, JobState
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelKind, ModelVersion, ModelVersionState
from backend.learning.predictions import service as predictions
from backend.slides.catalogue.tables import Slide, SlideState
from tests.conftest import Service


@contextmanager
def counted(service: Service) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    engine = service.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def add_slides(service: Service, first: int, count: int) -> None:
    with service.database.writing() as session:
        session.add_all(
            Slide(
                name=f"{number}.svs",
                sha256=f"{number:064d}",
                byte_size=1,
                state=SlideState.READY,
                width=512,
                height=512,
                mpp=0.25,
                patch_count=0,
                qc=[],
            )
            for number in range(first, first + count)
        )


def add_version(service: Service, name: str) -> str:
    with service.database.writing() as session:
        version = ModelVersion(
            name=name,
            kind=ModelKind.COLD_START,
            state=ModelVersionState.CANDIDATE,
            weights_sha256="0" * 64,
        )
        session.add(version)
        session.flush()
        return version.id


def switch(service: Service, version_id: str) -> int:
    """Make a version active; return how many statements that took."""
    with counted(service) as seen, service.database.writing() as session:
        model_versions.switch(
            session, service.settings, model_versions.get(session, version_id), requested_by=None
        )
    return len(seen)


def asked(service: Service, version_id: str) -> list[Job]:
    with service.database.reading() as session:
        queued = select(Job).where(Job.kind == JobKind.PREDICT, Job.state == JobState.QUEUED)
        found = session.scalars(queued).all()
    return [job for job in found if job.subject.endswith(version_id)]


def test_more_slides_are_no_more_statements(service: Service) -> None:
    add_slides(service, 0, 3)
    few = switch(service, add_version(service, "one"))
    add_slides(service, 3, 60)
    version_id = add_version(service, "two")
    assert switch(service, version_id) <= few + 4
    jobs = asked(service, version_id)
    assert len(jobs) == len({job.subject for job in jobs}) == 63
    assert service.client.get("/jobs?limit=100").json()["items"]


def test_what_is_asked_for_already_is_not_asked_for_twice(service: Service) -> None:
    add_slides(service, 0, 3)
    version_id = add_version(service, "one")
    with service.database.writing() as session:
        slide_id = session.scalars(select(Slide.id)).first()
        first = predictions.request(
            session, service.settings, slide_id, model_version_id=version_id
        )
    switch(service, version_id)
    jobs = asked(service, version_id)
    assert len(jobs) == 3
    assert first.id in {job.id for job in jobs}
