"""Jobs: what is waiting, working and done; cancel what is no longer wanted."""

from fastapi import APIRouter, status
from sqlalchemy import select

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.schemas import JobDetail, JobOut
from backend.jobs.tables import ACTIVE, Job, JobState
from backend.kit.dependencies import CurrentSettings, ReadSession, WriteSession
from backend.kit.paging import Page, Paged
from backend.people.audit import service as audit
from backend.people.users.guards import Pathologist, Viewer

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.get("")
def list_jobs(
    session: ReadSession,
    _: Viewer,
    page: Paged,
    state: JobState | None = None,
    kind: JobKind | None = None,
    subject: str | None = None,
) -> Page[JobOut]:
    """Newest first."""
    statement = select(Job)
    for column, wanted in ((Job.state, state), (Job.kind, kind), (Job.subject, subject)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    return page.newest(session, statement, Job.id, JobOut.model_validate)


@router.get("/{job_id}")
def get_job(job_id: str, session: ReadSession, _: Viewer) -> JobDetail:
    return JobDetail.model_validate(jobs.get(session, job_id))


@router.delete("/{job_id}", status_code=status.HTTP_202_ACCEPTED)
def cancel_job(
    job_id: str, session: WriteSession, settings: CurrentSettings, user: Pathologist
) -> JobOut:
    """Cancel a queued job at once; a running one stops at its next batch; a finished one stays."""
    going = jobs.get(session, job_id).state in ACTIVE
    job = jobs.cancel(session, settings, job_id)
    if going:
        audit.record(session, user, "cancelled_job", "job", job_id, kind=str(job.kind))
    return JobOut.model_validate(job)
