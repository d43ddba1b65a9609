"""Draw an import of outlines; its outcome, patch by patch, is kept with the job."""

from backend.exchange.masks import import_jobs
from backend.exchange.masks.schemas import ImportOut
from backend.jobs import service as jobs
from worker.context import JobContext


def run(context: JobContext) -> None:
    with context.reading() as session:
        job = jobs.get(session, context.job_id)
    imported = import_jobs.draw(
        job, context.database, context.blobs, context.settings, context.check
    )
    outcome = ImportOut.of(imported).model_dump(mode="json")
    with context.finishing() as session:
        # what was sent is named no more, and swept
        jobs.keep_result(session, context.job_id, outcome)
