"""Large imports are jobs: kept as a blob, drawn by a worker, their outcome kept with the job.

What a person sends is at most what a worker can do in minutes, and a person, a case and a slide
have a share: nobody's imports keep everybody else's waiting.
"""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from backend.exchange.masks import imports
from backend.exchange.masks.geojson import GeoJsonInvalid
from backend.exchange.masks.imports import Imported
from backend.exchange.masks.work import OF_JOB, Work
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job
from backend.kit.canonical import canonical
from backend.kit.db.session import Database
from backend.kit.errors import Conflict, TooManyRequests
from backend.kit.security import check_text
from backend.kit.storage.blobs import Blobs
from backend.people.users import service as users
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import service as slides

MOST_OF_USER = 4
"""Imports of one person that wait or are being drawn."""
MOST_OF_CASE = 8
WAIT_SECONDS = 10


class ImportGoingOn(Conflict):
    code = "import_going_on"


class TooManyImports(TooManyRequests):
    code = "too_many_imports"


def content_in(body: bytes | bytearray) -> Any:
    """Return what a body of JSON holds. Raise BadRequest or GeoJsonInvalid."""
    check_text(body)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise GeoJsonInvalid(f"The body is no JSON: {reason}.") from None


def store_seen(blobs: Blobs, seen: dict[str, int]) -> str | None:
    """Keep which revisions a caller has seen; an import is drawn later, and must not forget."""
    return blobs.put(canonical(seen)) if seen else None


def request(
    session: Session,
    settings: Settings,
    slide_id: str,
    *,
    content_sha256: str,
    seen_sha256: str | None,
    by: User,
) -> Job:
    """Have an import drawn; the same one sent again is the same job.

    Raise ImportGoingOn while the slide has another, TooManyImports if a share is used up.
    """
    params = {"content_sha256": content_sha256, "seen_sha256": seen_sha256}
    active = jobs.active_job(session, JobKind.IMPORT, slide_id)
    if active is None:
        require_share(session, slide_id, by)
        active = jobs.enqueue(
            session, settings, JobKind.IMPORT, slide_id, params=params, requested_by=by.id
        )
    if active.params != params or active.requested_by != by.id:
        raise ImportGoingOn(
            "Another import is being drawn on this slide: wait until it is done, and look at what "
            "it drew.",
            job_id=active.id,
        )
    return active


def require_share(session: Session, slide_id: str, by: User) -> None:
    """Raise TooManyImports if the person or the slide's case has as many imports as they may."""
    active = jobs.active_of(session, {JobKind.IMPORT})
    case_id = slides.get(session, slide_id).case_id
    of_case = slides.of_case(session, case_id) if case_id else set()
    for whose, count, most in (
        ("you have", sum(job.requested_by == by.id for job in active), MOST_OF_USER),
        ("this case has", sum(job.subject in of_case for job in active), MOST_OF_CASE),
    ):
        if count >= most:
            raise TooManyImports(
                f"At most {most} imports are drawn at a time, and {whose} {count}: try again when "
                "one is done.",
                headers={"Retry-After": str(WAIT_SECONDS)},
            )


def draw(
    job: Job, database: Database, blobs: Blobs, settings: Settings, pause: Callable[[], None]
) -> Imported:
    """Do what a job asks for. pause: called now and then; may raise what ends the work."""
    content = content_in(blobs.read(job.params["content_sha256"]))
    seen_sha256 = job.params["seen_sha256"]
    seen = json.loads(blobs.read(seen_sha256)) if seen_sha256 else {}
    with database.reading() as session:
        by = users.get_user(session, job.requested_by or "")
    return imports.take(
        database,
        blobs,
        settings,
        job.subject,
        content,
        seen=seen,
        work=Work(OF_JOB),
        by=by,
        most_patches=imports.MOST_PATCHES,
        pause=pause,
    )


@jobs.on_failure(JobKind.IMPORT)
def forget(_: Session, __: Settings, job: Job, ___: dict[str, Any]) -> None:
    """Let what was sent be swept: it is not tried again."""
    jobs.forget_request(job)
